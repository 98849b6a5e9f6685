"""An fsspec file system, read-only: forebay://MOUNT/PATH. fsspec finds it by itself where this package is installed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NoReturn, Optional, Union

from fsspec import AbstractFileSystem
from fsspec.utils import tokenize

from ._client import BUFFER_SIZE, Client
from ._errors import ForebayError
from ._types import Stat

_COPY_BYTES = 8 << 20  # a chunk of a mount by default


class ForebayFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """fsspec over a cell.

    node, direct, timeout, connect_timeout, shared_memory: as `forebay.connect`. Connects at the first call, and again in
    a forked child. fsspec
    gives the same instance for the same arguments, so FOREBAY_NODE counts as it was at the first call.
    Paths are MOUNT/PATH. Listings aren't cached here: the cell does that, for as long as the mount's consistency says.
    What would write raises OSError (EROFS).
    """

    protocol = "forebay"
    root_marker = ""

    def __init__(
        self,
        node: Optional[str] = None,
        direct: Sequence[str] = (),
        timeout: float = 60.0,
        connect_timeout: float = 3.0,
        shared_memory: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            node=node, direct=direct, timeout=timeout, connect_timeout=connect_timeout, shared_memory=shared_memory, **options
        )
        self._connect_to = {
            "node": node, "direct": tuple(direct), "timeout": timeout, "connect_timeout": connect_timeout,
            "shared_memory": shared_memory,
        }
        self._client: Optional[Client] = None

    @property
    def client(self) -> Client:
        """The forebay.Client beneath."""
        if self._client is None:
            self._client = Client(**self._connect_to)  # type: ignore[arg-type]
        return self._client

    @property
    def fsid(self) -> str:
        return f"forebay_{tokenize(self._connect_to)}"

    # ---- names ----

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        return _info(path, self.client.stat(path))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        found = self.client.stat(path)
        if not found.directory:
            return [_info(path, found)] if detail else [path]
        if not detail:
            return [f"{path}/{entry.name}" for entry in self.client.scandir(path)]
        return [
            {
                "name": f"{path}/{entry.name}",
                "size": entry.size,
                "type": "directory" if entry.directory else "file",
                "mtime": entry.mtime_ns / 1e9,
            }
            for entry in self.client.scandir(path)
        ]

    def exists(self, path: str, **_: Any) -> bool:
        return self.client.exists(self._strip_protocol(path))

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(self.info(path)["mtime"], timezone.utc)

    def ukey(self, path: str) -> str:
        found = self.info(path)
        return str(tokenize(found["name"], found["version"]))

    checksum = ukey

    # ---- bytes ----

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **_: Any) -> Any:
        if mode != "rb":
            self._read_only(path)
        buffering = block_size if isinstance(block_size, int) and block_size > 0 else BUFFER_SIZE
        return self.client.open(self._strip_protocol(path), buffering=buffering)

    def open(self, path: str, mode: str = "rb", *args: Any, **options: Any) -> Any:
        if not set(mode) <= set("rbt"):
            self._read_only(path)
        return super().open(path, mode, *args, **options)

    def cat_file(self, path: str, start: Optional[int] = None, end: Optional[int] = None, **_: Any) -> bytes:
        with self.client.open(self._strip_protocol(path), buffering=0) as file:
            first, last, _step = slice(start, end).indices(file.size)
            return file.pread(max(0, last - first), first)

    def cat_ranges(
        self, paths: list[str], starts: Union[int, list[int]], ends: Union[int, list[int], None],
        max_gap: Optional[int] = None, on_error: str = "return", **_: Any,
    ) -> list[Any]:
        """In one batch. `max_gap` isn't used: near ranges of an object are one request anyway."""
        if not isinstance(paths, list):
            raise TypeError("paths is a list")
        names = [self._strip_protocol(path) for path in paths]
        first = starts if isinstance(starts, list) else [starts] * len(names)
        last = ends if isinstance(ends, list) else [ends] * len(names)
        if len(first) != len(names) or len(last) != len(names):
            raise ValueError(f"{len(names)} paths, {len(first)} starts and {len(last)} ends")
        found = self.client.stat_batch(names, return_exceptions=on_error == "return")
        results: list[Any] = list(found)
        wanted = []
        for index, one in enumerate(found):
            if isinstance(one, Stat):
                start, stop, _step = slice(first[index], last[index]).indices(one.size)
                wanted.append((index, (names[index], start, bytearray(max(0, stop - start)))))
        counts = self.client.read_batch([request for _, request in wanted], return_exceptions=on_error == "return")
        for (index, (_name, _start, buffer)), count in zip(wanted, counts):
            results[index] = count if isinstance(count, ForebayError) else bytes(memoryview(buffer)[:count])
        return results

    def get_file(self, rpath: str, lpath: Any, callback: Any = None, outfile: Any = None, **_: Any) -> None:
        if self.isdir(rpath):
            os.makedirs(lpath, exist_ok=True)
            return
        with self.client.open(self._strip_protocol(rpath), buffering=0) as source:
            if callback is not None:
                callback.set_size(source.size)
            if outfile is not None or hasattr(lpath, "write"):
                shutil.copyfileobj(source, outfile if outfile is not None else lpath, _COPY_BYTES)
                return
            os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
            with open(lpath, "wb") as target:
                while piece := source.read(_COPY_BYTES):
                    target.write(piece)
                    if callback is not None:
                        callback.relative_update(len(piece))

    # ---- what it doesn't do: the base class leaves some of these silent ----

    def _read_only(self, path: Any = "", *_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EROFS, "forebay:// is read-only: write to the origin", str(path))

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = mv = touch = pipe_file = put_file = _read_only


def _info(path: str, found: Stat) -> dict[str, Any]:
    info: dict[str, Any] = {
        "name": path,
        "size": found.size,
        "type": "directory" if found.directory else "file",
        "mtime": found.mtime_ns / 1e9,
    }
    if not found.directory:
        info.update(version=found.version, chunk_size=found.chunk_size)
    return info
