"""The store: content keys, atomic files, one checksum a file. Encode once, index often.

Nothing is pickled. Each file carries the SHA-256 of its whole content: a damaged one is named in
the log, removed and reported as missing, or a `UserError` where it cannot be removed. A file
appears under its name only when it is complete.
"""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from probing_core.errors import UserError

FORMAT_VERSION = 2
_FIRST_FORMAT = b'{"version": 1}'
"""The whole ``format.json`` of stores whose files carry no checksum of their own."""
_STALE_SECONDS = 3600
_SEAL = b"probing-store-sha256:"
_BLANK = _SEAL + b"0" * 64
"""Stands in a file's metadata until its SHA-256 is known."""
_ELSEWHERE = " Choose a folder of yours with --store or PROBING_STORE."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """The name of one stored thing: a sub-folder, a readable label, and a digest of its inputs."""

    kind: str
    label: str
    digest: str
    fields: Mapping[str, Any] = field(compare=False, repr=False)

    @classmethod
    def of(cls, kind: str, label: str, **fields: Any) -> "Key":
        """Build a key from everything that decides the content, in JSON values."""
        text = json.dumps([FORMAT_VERSION, kind, fields], sort_keys=True, allow_nan=False)
        return cls(kind, label, hashlib.sha256(text.encode()).hexdigest()[:20], fields)

    @property
    def name(self) -> str:
        """File name without suffix, safe on every file system."""
        return f"{re.sub(r'[^A-Za-z0-9._=-]+', '-', self.label)[:80]}-{self.digest}"


class Store:
    """A folder of keyed results, made when missing; `UserError` if it has another format."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        with _plain_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        if (version := self._format()) != FORMAT_VERSION:
            raise UserError(
                f"The store {self.root} has format {version}, this program writes {FORMAT_VERSION}."
                " Delete it, or choose another with --store or PROBING_STORE."
            )

    def path(self, key: Key, suffix: str = "") -> Path:
        """Where a key's file or folder lives."""
        return self.root / key.kind / f"{key.name}{suffix}"

    def write_arrays(
        self, key: Key, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None
    ) -> Path:
        """Write arrays of any numeric dtype and shape as one safetensors file, atomically."""
        solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        header = {
            "meta": json.dumps(dict(meta or {})),
            "fields": json.dumps(dict(key.fields)),
            "seal": _BLANK.decode(),
        }
        data = to_safetensors(solid, header)
        return write_atomically(self.path(key, ".safetensors"), sealed(data))

    def read_arrays(self, key: Key) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Read arrays and their meta, or ``None`` when missing or damaged."""
        if (data := self._read(self.path(key, ".safetensors"))) is None:
            return None
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])["__metadata__"]
        return from_safetensors(data), json.loads(header["meta"])

    def write_rows(self, key: Key, table: pa.Table) -> Path:
        """Write result rows as one parquet shard, atomically."""
        sink = pa.BufferOutputStream()
        about = {**(table.schema.metadata or {}), b"seal": _BLANK}
        pq.write_table(table.replace_schema_metadata(about), sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        return write_atomically(self.path(key, ".parquet"), sealed(data))

    def read_rows(self, key: Key) -> pa.Table | None:
        """Read one shard, or ``None`` when missing or damaged."""
        if (data := self._read(self.path(key, ".parquet"))) is None:
            return None
        # Not `read_table`: its threads may let go of Python's bytes too late, and abort its exit.
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
        about = {name: text for name, text in table.schema.metadata.items() if name != b"seal"}
        return table.replace_schema_metadata(about or None)

    def write_json(self, key: Key, value: Any) -> Path:
        """Write a small JSON document, atomically."""
        return write_atomically(self.path(key, ".json"), _document(value))

    def read_json(self, key: Key) -> Any | None:
        """Read a small JSON document, or ``None`` when missing or damaged."""
        return self._read_document(self.path(key, ".json"))

    def write_folder(self, key: Key, fill: Callable[[Path], None]) -> Path:
        """Fill a folder, add ``checksums.json``, and move it to its name when it is complete."""
        target = self.path(key)
        with _plain_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".tmp-{uuid.uuid4().hex}")
            draft.mkdir()
            try:
                fill(draft)
                sums = {p.name: sha256_of(p) for p in sorted(draft.iterdir())}
                (draft / "checksums.json").write_bytes(_document(sums))
                try:
                    os.replace(draft, target)
                except OSError:  # One is there: damaged, or that of another process, as good.
                    if self.read_folder(key) is None:
                        os.replace(draft, target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return target

    def read_folder(self, key: Key) -> Path | None:
        """The folder of a key when complete and undamaged, else ``None``."""
        path = self.path(key)
        if not path.is_dir():
            return None
        sums = self._read_document(path / "checksums.json") or {"checksums.json": ""}
        if wrong := [name for name, value in sums.items() if _sum_of(path / name) != value]:
            _remove_damaged(path, wrong[0])
            return None
        return path

    def size_bytes(self) -> int:
        """Bytes on disk of everything in the store."""
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def _read(self, path: Path) -> bytes | None:
        """The bytes of a file, exactly as written, or ``None``."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(f"Cannot read {path} ({error.strerror}).{_ELSEWHERE}") from None
        if is_sealed(data):
            return data
        _remove_damaged(path)
        return None

    def _read_document(self, path: Path) -> Any | None:
        data = self._read(path)
        return None if data is None else json.loads(data)["value"]

    def _format(self) -> int:
        """The store's format, written anew where it is damaged or not on record.

        Nothing is lost by that: every other file has its own checksum, and keys tell formats.
        """
        marker = self.root / "format.json"
        with suppress(OSError):
            if marker.read_bytes() == _FIRST_FORMAT:
                return 1
        if (stored := self._read_document(marker)) is None:
            stored = {"version": FORMAT_VERSION}
            write_atomically(marker, _document(stored))
        return int(stored["version"])

    def sweep(self) -> None:
        """Remove drafts that a killed run left behind, once they are certainly stale."""
        oldest = time.time() - _STALE_SECONDS
        for draft in self.root.glob("*/.tmp-*"):
            with suppress(OSError):
                if draft.stat().st_mtime < oldest:
                    _remove(draft)


def sealed(data: bytes) -> bytes:
    """A file's content with the SHA-256 of all the rest in place of its blank seal."""
    if data.count(_SEAL) != 1 or _BLANK not in data:
        raise ValueError("a file of the store holds one blank seal")
    return data.replace(_BLANK, _seal_of(data), 1)


def is_sealed(data: bytes) -> bool:
    """Whether no bit of a file changed since it was sealed."""
    return _SEAL in data and _seal_of(data) in data


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes) -> Path:
    """Write a whole file beside its place, then move it there; `UserError` if the disk refuses."""
    with _plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".tmp-{uuid.uuid4().hex}")
        try:
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return path


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Say in one line what the disk refuses."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        told = re.search(r"\(os error (\d+)\)", str(error))  # by safetensors
        number = int(told[1]) if told else getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UserError(
                f"No space left while writing {path}. Free some, or choose another disk with"
                " --store or PROBING_STORE; what is stored already is kept."
            ) from None
        if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise UserError(f"Cannot write {path} ({os.strerror(number)}).{_ELSEWHERE}") from None
        raise


def _seal_of(data: bytes) -> bytes:
    """The seal that belongs where a file's own is, blank or not."""
    place, rest = data.find(_SEAL), memoryview(data)
    digest = hashlib.sha256(rest[:place])
    digest.update(rest[place + len(_BLANK) :])
    return _SEAL + digest.hexdigest().encode()


def _document(value: Any) -> bytes:
    return sealed(json.dumps({"seal": _BLANK.decode(), "value": value}, indent=1).encode())


def _sum_of(path: Path) -> str | None:
    with suppress(OSError):
        return sha256_of(path)
    return None


def _remove_damaged(path: Path, part: str = "") -> None:
    try:
        with suppress(FileNotFoundError):  # Another process removes it, too.
            _remove(path)
    except OSError as error:  # Kept, it would look as if it were there and whole.
        reason = f"is damaged and cannot be removed ({error.strerror})"
        raise UserError(f"{path / part} {reason}.{_ELSEWHERE}") from None
    log.warning("Damaged file %s: removed, it will be rebuilt.", path / part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
