"""`rnnbench push`: a checkpoint, or a board, into a repository of a hub."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from jsonargparse import Namespace

from rnnbench.cli.console import warn_set_aside
from rnnbench.cli.parser import RUN, Parser, add_folders
from rnnbench.cli.publish import needs
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.board import make_board
from rnnbench.leaderboard.dataset_card import RESULTS, dataset_card
from rnnbench.leaderboard.export import rows_of, to_parquet
from rnnbench.records.certificates import Certificates
from rnnbench.records.manifest import MANIFEST, write_manifest
from rnnbench.records.packed import pack, unpack
from rnnbench.records.status import cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.publish import provenance
from rnnbench.records.tracks import tracks_of
from rnnbench.utils.files import expand_home, user_path, write_whole
from rnnbench.utils.hub import FORMS, HubAddress, upload
from rnnbench.utils.text import clean

CARD = "README.md"


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("source", type=str, help=f"{RUN}; or, for a data set, the folder of a leaderboard")
    parser.add_argument("address", type=str, help=FORMS)
    parser.add_argument("--private", action="store_true", help="a repository that is made is private")
    parser.add_argument("--license", type=str, default="", metavar="ID", help="of what is pushed, such as apache-2.0")
    parser.add_argument("--by", type=str, default="", metavar="NAME", help="who answers for it")
    add_folders(parser)


def run(options: Namespace) -> None:
    """Write what is pushed into a temporary folder, with its card and hashes, and commit it at once.

    Raises:
        RnnbenchError: no such run or board, no token, no network, or the server refuses it.
    """
    address = HubAddress.parse(options.address)
    if not re.fullmatch(r"[a-z0-9.-]{0,40}", options.license):
        raise RnnbenchError(f"--license is a short name such as apache-2.0 or cc-by-4.0, got {options.license!r}")
    with TemporaryDirectory(prefix="rnnbench-push-") as temporary:
        folder = Path(temporary)
        if address.kind == "dataset":
            names, what = _pack_board(options, address, folder)
        else:
            names, what = _pack_run(options, address, folder)
        files = {name: folder / name for name in [CARD, MANIFEST, *names]}
        commit = upload(address, files, f"{what}, by rnnbench", options.private)
    print(f"{clean(what)}: {commit}")
    print(f"to have it elsewhere: rnnbench pull {address}")


def _pack_run(options: Namespace, address: HubAddress, folder: Path) -> tuple[list[str], str]:
    from rnnbench.harness.load_run import load_run
    from rnnbench.harness.model_card import model_card
    from rnnbench.harness.packed_run import pack_run

    if Path(expand_home(options.source)).is_dir():
        raise RnnbenchError(f"{options.source} is a folder; a board goes to the address of a data set: "
                            f"hf://datasets/{address.name}")  # fmt: skip
    trained = load_run(options.source, options.leaderboard, options.runs)
    record = trained.record
    if record is None:
        raise RnnbenchError(f"{trained.name}: no record here is of its run: give a run of a leaderboard")
    if record.provenance is None:
        record = record.model_copy(update={"provenance": provenance(options.by, needs(record.spec))})
    names = pack_run(trained.checkpoint, record, folder)
    write_manifest(folder, "checkpoint", names)
    write_whole(folder / CARD, model_card(trained, record, str(address), options.license))
    return names, f"{record.spec.label} ({record.id})"


def _pack_board(options: Namespace, address: HubAddress, folder: Path) -> tuple[list[str], str]:
    leaderboard = user_path(options.source)
    if not leaderboard.is_dir():
        raise RnnbenchError(f"there is no folder {options.source!r}; a run goes to the address of a model: "
                            f"hf://{address.name}")  # fmt: skip
    records, problems = RecordStore(leaderboard).read()
    warn_set_aside(problems)
    if not records:
        raise RnnbenchError(Folders(leaderboard, options.runs).no_records)
    certificates = Certificates(leaderboard)
    names = pack(leaderboard, records, folder)
    unpack(folder, names, str(leaderboard))  # what `rnnbench pull` would refuse is not sent
    write_manifest(folder, "board", names)
    to_parquet(rows_of(cells_on_record(records, certificates), tracks_of(records)), folder / RESULTS)
    card = dataset_card(records.values(), make_board(records, certificates), str(address), options.license)
    write_whole(folder / CARD, card)
    return [*names, RESULTS], f"{len(records)} records"
