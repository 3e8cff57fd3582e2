"""The store: content keys, atomic files, checksums. Encode once, index often.

Arrays are safetensors files with a CRC-32 for each array, result rows are parquet shards
with page checksums, SAEs are folders in SAELens's own format. Nothing is ever pickled. A file
appears under its final name only when it is complete, so a killed run leaves a store that
loads and resumes; a damaged file is named in the log, removed and reported as missing.
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
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from probing_core.errors import UserError

FORMAT_VERSION = 1
_STALE_SECONDS = 3600
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """The name of one stored thing: a kind, a readable label, and a digest of its inputs."""

    kind: str
    label: str
    digest: str
    fields: Mapping[str, Any] = field(compare=False, repr=False)

    @classmethod
    def of(cls, kind: str, label: str, **fields: Any) -> "Key":
        """Build a key from everything that decides the content.

        Args:
            kind: Sub-folder of the store: ``activations``, ``latents``, ``saes``, ``rows`` ….
            label: Readable part of the file name.
            **fields: JSON values; two keys are equal only when all of them are.
        """
        text = json.dumps([FORMAT_VERSION, kind, fields], sort_keys=True, allow_nan=False)
        return cls(kind, label, hashlib.sha256(text.encode()).hexdigest()[:20], fields)

    @property
    def name(self) -> str:
        """File name without suffix, safe on every file system."""
        return f"{re.sub(r'[^A-Za-z0-9._=-]+', '-', self.label)[:80]}-{self.digest}"


class Store:
    """A folder of keyed results.

    Args:
        root: The folder; made when missing.

    Raises:
        UserError: If the folder cannot be written, or was written in another format.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        marker = self.root / "format.json"
        with _plain_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                write_atomically(marker, json.dumps({"version": FORMAT_VERSION}).encode())
        version = _read_version(marker)
        if version != FORMAT_VERSION:
            raise UserError(
                f"The store {self.root} has format {version}, this program writes {FORMAT_VERSION}."
                " Delete it, or choose another with --store or PROBING_STORE."
            )
        self._sweep()

    def path(self, key: Key, suffix: str = "") -> Path:
        """Where a key's file or folder lives."""
        return self.root / key.kind / f"{key.name}{suffix}"

    def write_arrays(
        self, key: Key, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None
    ) -> Path:
        """Write named arrays as one safetensors file, atomically.

        Args:
            key: Where.
            arrays: Name to array of any numeric dtype and shape.
            meta: JSON values kept beside them.
        """
        solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        header = {
            "meta": json.dumps(dict(meta or {})),
            "fields": json.dumps(dict(key.fields)),
            "crc32": json.dumps({name: _crc(array) for name, array in solid.items()}),
        }
        return write_atomically(self.path(key, ".safetensors"), to_safetensors(solid, header))

    def read_arrays(
        self, key: Key, names: tuple[str, ...] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Read arrays and their meta, or ``None`` when missing or damaged.

        Args:
            key: Which file.
            names: Arrays to read; all of them when ``None``.
        """
        path = self.path(key, ".safetensors")
        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
                wanted = file.keys() if names is None else names
                arrays = {name: file.get_tensor(name) for name in wanted}
            sums = json.loads(header["crc32"])
            if wrong := [name for name, array in arrays.items() if _crc(array) != sums[name]]:
                self._damaged(path, f"checksum of {wrong[0]}")
                return None
            return arrays, json.loads(header["meta"])
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            self._damaged(path, str(error))
            return None

    def write_rows(self, key: Key, table: pa.Table) -> Path:
        """Write result rows as one parquet shard, atomically."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        return write_atomically(self.path(key, ".parquet"), sink.getvalue().to_pybytes())

    def read_rows(self, key: Key) -> pa.Table | None:
        """Read one shard, or ``None`` when missing or damaged."""
        path = self.path(key, ".parquet")
        try:
            data = path.read_bytes()
            # No threads: one that outlives the interpreter aborts the process at its exit.
            return pq.read_table(
                pa.BufferReader(data),
                page_checksum_verification=True,
                use_threads=False,
                pre_buffer=False,
            )
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError) as error:
            self._damaged(path, str(error))
            return None

    def write_json(self, key: Key, value: Any) -> Path:
        """Write a small JSON document, atomically."""
        return write_atomically(self.path(key, ".json"), json.dumps(value, indent=1).encode())

    def read_json(self, key: Key) -> Any | None:
        """Read a small JSON document, or ``None`` when missing or damaged."""
        path = self.path(key, ".json")
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            self._damaged(path, str(error))
            return None

    def write_folder(self, key: Key, fill: Callable[[Path], None]) -> Path:
        """Fill a folder and move it to its name only when it is complete.

        A ``checksums.json`` with the SHA-256 of every file is added.
        """
        target = self.path(key)
        with _plain_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".tmp-{uuid.uuid4().hex}")
            draft.mkdir()
            try:
                fill(draft)
                sums = {p.name: _sha256(p) for p in sorted(draft.iterdir()) if p.is_file()}
                (draft / "checksums.json").write_text(json.dumps(sums, indent=1))
                if target.exists():
                    shutil.rmtree(target)
                os.replace(draft, target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return target

    def read_folder(self, key: Key) -> Path | None:
        """The folder of a key when complete and undamaged, else ``None``."""
        path = self.path(key)
        if not path.is_dir():
            return None
        try:
            sums = json.loads((path / "checksums.json").read_text())
            if wrong := [name for name, value in sums.items() if _sha256(path / name) != value]:
                self._damaged(path, f"checksum of {wrong[0]}")
                return None
        except (OSError, ValueError) as error:
            self._damaged(path, str(error))
            return None
        return path

    def size_bytes(self) -> int:
        """Bytes on disk of everything in the store."""
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def _damaged(self, path: Path, reason: str) -> None:
        log.warning("Damaged file %s (%s): removed, it will be rebuilt.", path, reason)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove drafts that a killed run left behind, once they are certainly stale."""
        oldest = time.time() - _STALE_SECONDS
        for draft in self.root.glob("*/.tmp-*"):
            if draft.exists() and draft.stat().st_mtime < oldest:
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> Path:
    """Write a whole file beside its place, then move it there.

    Raises:
        UserError: On a full disk or a folder that cannot be written; nothing is lost.
    """
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
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UserError(
                f"No space left while writing {path}. Free some, or choose another disk with"
                " --store or PROBING_STORE; what is stored already is kept."
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise UserError(
                f"Cannot write {path} ({error.strerror}). Choose a folder of yours with"
                " --store or PROBING_STORE."
            ) from None
        raise


def _read_version(marker: Path) -> Any:
    try:
        return json.loads(marker.read_text(encoding="utf-8"))["version"]
    except (ValueError, KeyError, TypeError, OSError):
        return "unknown"


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
