"""What the hub refuses to give, and what arrives from it damaged, each told in one line."""

import contextlib
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from probing_core.errors import UserError
from probing_core.store import sha256_of

_SHA256_DIGITS = 64


def why_refused(what: str, repository: str, error: BaseException) -> str | None:
    """One line if the hub wants a licence accepted, or lacks a file or revision; else ``None``."""
    page, seen = f"{constants.ENDPOINT}/{repository}", error.__cause__ or error.__context__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, GatedRepoError) or (isinstance(error, HfHubHTTPError) and status == 403):
        return (
            f"{what} is behind a licence: accept it at {page}, and set HF_TOKEN to a token of that"
            f" account ({constants.ENDPOINT}/settings/tokens)."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{what}: {page} has no such revision. Give a commit or tag of its history."
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        lost = str(getattr(getattr(error, "response", None), "url", "")).rpartition("/resolve/")[2]
        return f"{what}: {page} has no file {lost.partition('/')[2] or 'of that name'}."
    return why_refused(what, repository, seen) if seen else None


def refuse_damaged(repository: str, folder: str = "") -> None:
    """Compare cached files with the SHA-256 that the hub gave for them, which it names them by.

    A file that was right once is not read again.

    Raises:
        UserError: Naming the first file that is not what the hub has.
    """
    root = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    for path in sorted(root.glob(f"snapshots/*/{folder}/**/*" if folder else "snapshots/*/**/*")):
        blob = path.resolve()
        mark = blob.with_name(f"{blob.name}.checked")
        if len(blob.name) != _SHA256_DIGITS or not path.is_file():
            continue
        if mark.exists() and mark.stat().st_mtime_ns >= blob.stat().st_mtime_ns:
            continue
        if sha256_of(blob) != blob.name:
            raise UserError(
                f"{path.name} of {repository} arrived damaged: its SHA-256 is not the hub's."
                f" Delete {blob} and run again."
            )
        with contextlib.suppress(OSError):  # a cache that others keep
            mark.touch()
