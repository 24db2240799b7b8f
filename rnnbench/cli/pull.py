"""`rnnbench pull`: a checkpoint, or a board, from a repository of a hub. What is pulled is not trusted."""

from pathlib import Path
from tempfile import TemporaryDirectory

from jsonargparse import Namespace

from rnnbench.cli.parser import Parser, add_folders, add_trust
from rnnbench.harness.paths import Folders
from rnnbench.records.manifest import MANIFEST, MAX_MANIFEST_BYTES, check_manifest
from rnnbench.records.packed import LIMITS as BOARD_LIMITS
from rnnbench.records.packed import merge, unpack
from rnnbench.utils.hub import FORMS, HubAddress, fetch
from rnnbench.utils.text import clean


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("address", type=str, help=f"{FORMS}; @REVISION after it names a branch, a tag or a commit")
    add_trust(parser)
    add_folders(parser)


def run(options: Namespace) -> None:
    """Fetch files whose names are known into a temporary folder, check them, and only then write anything.

    Raises:
        RnnbenchError: no network, no such repository, something is not what it should be, or it is here with another
            outcome.
    """
    address = HubAddress.parse(options.address)
    folders = Folders(options.leaderboard, options.runs)
    with TemporaryDirectory(prefix="rnnbench-pull-") as temporary:
        if address.kind == "dataset":
            _pull_board(address, Path(temporary), folders)
        else:
            _pull_run(address, Path(temporary), folders, options.trust)


def _pull_board(address: HubAddress, fetched: Path, folders: Folders) -> None:
    commit = fetch(address, {MANIFEST: MAX_MANIFEST_BYTES, **BOARD_LIMITS}, fetched)
    names = check_manifest(fetched, "board", BOARD_LIMITS, str(address))
    board = unpack(fetched, names, str(address))
    new = merge(board, folders.leaderboard)
    print(f"{address} at {commit[:10]}: {len(board.records)} records, {new} of them new in {folders.leaderboard}")
    print(f"they are what others say, checked and not run again; the board: rnnbench board{folders.options}")


def _pull_run(address: HubAddress, fetched: Path, folders: Folders, trust: bool) -> None:
    from rnnbench.harness.packed_run import LIMITS, place_run, unpack_run

    commit = fetch(address, {MANIFEST: MAX_MANIFEST_BYTES, **LIMITS}, fetched)
    names = check_manifest(fetched, "checkpoint", LIMITS, str(address))
    record = unpack_run(fetched, names, str(address), trust)
    path = place_run(fetched, record, folders)
    print(f"{address} at {commit[:10]}: {clean(record.spec.label)} ({record.id}): {path}")
    print(f"its scores are what others say; everything about it: rnnbench show {record.id}{folders.options}")
