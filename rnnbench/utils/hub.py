"""Repositories of a model hub (Hugging Face's, or a server of the same interface): addresses, sending and fetching.

Token and server are those of `huggingface_hub`: its login or `HF_TOKEN`, and `HF_ENDPOINT`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rnnbench.errors import RnnbenchError
from rnnbench.utils.text import clean

FORMS = "hf://user/name (a checkpoint) or hf://datasets/user/name (a board)"
PATTERN = re.compile(r"hf://(datasets/)?(\w(?:[.-]?\w)*/\w(?:[.-]?\w)*)(?:@([\w./-]+))?", re.ASCII)


@dataclass(frozen=True)
class HubAddress:
    """The address of a repository, `hf://user/name` or `hf://datasets/user/name`, with `@revision` if need be.

    Args:
        kind: of the repository.
        name: `user/name`.
        revision: a branch, a tag or a commit; None is the main branch.
    """

    kind: Literal["model", "dataset"]
    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubAddress":
        """The address that a text is.

        Raises:
            RnnbenchError: it is none.
        """
        found = PATTERN.fullmatch(text)
        if found is None:
            raise RnnbenchError(f"{text!r} is not the address of a repository; allowed: {FORMS}")
        datasets, name, revision = found.groups()
        return cls("dataset" if datasets else "model", name, revision)

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf://{'datasets/' if self.kind == 'dataset' else ''}{self.name}{revision}"


def upload(address: HubAddress, files: Mapping[str, Path], message: str, private: bool) -> str:
    """Commit files at once, into a repository that is made if absent; the address of the commit for a browser.

    Args:
        address: of the repository, without a revision: the commit is one of the main branch.
        files: by their names in the repository.
        message: of the commit.
        private: whether a repository that is made can be seen by its owner alone.

    Raises:
        RnnbenchError: no token, no network, or the server refuses it.
    """
    from huggingface_hub import CommitOperationAdd, get_token

    if address.revision is not None:
        raise RnnbenchError(f"{address}: only the main branch can be pushed to: leave out @{address.revision}")
    with asking(address):
        token = get_token()
    if token is None:
        raise RnnbenchError(f"pushing to {address} needs a token: run `hf auth login`, or set HF_TOKEN")
    with asking(address):
        api = _api()
        api.create_repo(address.name, repo_type=address.kind, private=private or None, exist_ok=True)
        operations = [CommitOperationAdd(name, path) for name, path in files.items()]
        commit = api.create_commit(address.name, operations, commit_message=message, repo_type=address.kind)
    return str(commit.commit_url)


def fetch(address: HubAddress, limits: Mapping[str, int], folder: Path) -> str:
    """Fetch files of a repository, all of one commit; those that it does not have are left out. No other file of the
    repository is read, and no name of it becomes a path.

    Args:
        address: of the repository.
        limits: the most bytes of each file, by name.
        folder: where they go.

    Returns:
        The commit.

    Raises:
        RnnbenchError: no network, no such repository or revision, no access, or a file that is too large.
    """
    with asking(address):
        api = _api()
        info = api.repo_info(address.name, repo_type=address.kind, revision=address.revision, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    wanted = [name for name in limits if name in sizes]
    for name in wanted:
        if not isinstance(size := sizes[name], int) or size > limits[name]:
            raise RnnbenchError(f"{address}: {name} has {size} bytes, at most {limits[name]:,} are read")
    for name in wanted:
        with asking(address):
            path = api.hf_hub_download(address.name, name, repo_type=address.kind, revision=info.sha, local_dir=folder)
        if (size := Path(path).stat().st_size) != sizes[name]:
            raise RnnbenchError(f"{address}: {name} has {size:,} bytes, the server has said {sizes[name]:,}")
    return str(info.sha)


@contextmanager
def asking(address: HubAddress) -> Iterator[None]:
    """Turns whatever `huggingface_hub` raises into a sentence for a person.

    Raises:
        RnnbenchError: what went wrong.
    """
    try:
        yield
    except Exception as error:  # its own, those of its HTTP client, and those of the system
        raise RnnbenchError(f"{address}: {_reason(error)}") from error


def _api() -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="rnnbench")


def _reason(raised: Exception) -> str:
    from huggingface_hub import errors

    error = _told_by(raised)
    status = getattr(getattr(error, "response", None), "status_code", None)
    message = str(getattr(error, "server_message", "") or error).strip()
    first = clean((message.splitlines() or [type(error).__name__])[0])[:300]
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "the hub is not asked, since HF_HUB_OFFLINE is set"
    if isinstance(error, errors.HFValidationError):
        return first
    if isinstance(error, errors.GatedRepoError):
        return "access to this repository has to be asked for on its page"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private and your token (HF_TOKEN, `hf auth login`) cannot read it"
    if status == 401:
        return f"the token (HF_TOKEN, or that of `hf auth login`) is not accepted: {first}"
    if status == 403:
        return f"the token may not do this: {first}"
    if status is not None:
        return f"the server refuses it with status {status}: {first}"
    endpoint = os.environ.get("HF_ENDPOINT")
    return f"the hub{f' at {endpoint}' if endpoint else ''} cannot be reached, or fails: {first}"


def _told_by(error: BaseException) -> BaseException:
    """Of an error and its causes the first that has an answer of the server, else the first of all."""
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return next((cause for cause in causes if getattr(cause, "response", None) is not None), causes[-1])
