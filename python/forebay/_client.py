"""The client: a connection to a node, or to the nodes of a cell."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from typing import IO, Any, Literal, Optional, Union, overload

from . import _errors, _native
from ._errors import ForebayError
from ._file import File
from ._types import Entry, Stat, WritableBuffer

BUFFER_SIZE = 256 << 10
"""Bytes of a buffered file's buffer by default: what the cell brings from an origin at least."""
_MOST = 1 << 20  # of a batch, as the library has it
_MOST_SECONDS = 4_000_000  # fits its milliseconds

Source = Union[str, File]


class Prefetch:
    """Ranges on their way into the cell, made by `Client.prefetch(..., wait=False)`.

    It may be forgotten: the cell goes on. Closing the client cancels what isn't there yet.
    """

    def __init__(self, native: _native.Pending, sources: list[str]) -> None:
        self._native = native
        self._sources = sources

    def done(self) -> bool:
        """Whether it has ended, well or not. Doesn't wait."""
        return self._native.done()

    def cancel(self) -> None:
        """Asks it to end; `wait` then raises ForebayError with the code "Cancelled", unless it was done."""
        self._native.cancel()

    def wait(self) -> int:
        """Waits until it is done; returns the bytes that are in the cell. Raises the first failure."""
        return sum(_counts(self._native.outcomes(), self._sources))


class Client:
    """A connection to a node, and through it to all mounts of the cell; or to the cell's nodes themselves (`direct`).
    Made by `forebay.connect`.

    Names are MOUNT/PATH, such as "imagenet/train/shard-0001.tar". May be used by many threads at once; calls wait
    without the GIL, and Ctrl-C ends them. Every call may raise UnavailableError (no node answers), DeadlineExceededError
    (the timeout is over), PermissionDeniedError, and NotFoundError for a name.

    A forked child connects anew at its first call, so a client may be made before a DataLoader's workers; files that
    were open before the fork raise InvalidArgumentError there. Pickled, a client is what it was made from.
    """

    def __init__(
        self,
        node: Optional[str] = None,
        *,
        direct: Iterable[str] = (),
        timeout: float = 60.0,
        connect_timeout: float = 3.0,
        shared_memory: bool = True,
    ) -> None:
        members = _list_of(direct, "members")
        self._options = (
            node, members, _milliseconds(timeout, "timeout"), _milliseconds(connect_timeout, "connect_timeout"),
            bool(shared_memory),
        )
        self._closed = False
        self._connect()

    def _connect(self) -> None:
        self._process = os.getpid()
        self._native = _native.Client(*self._options)

    def _live(self) -> _native.Client:
        if self._closed:
            raise ValueError("the client is closed")
        if self._process != os.getpid():
            self._connect()
        return self._native

    # ---- names ----

    def stat(self, name: str) -> Stat:
        """What `name` is: size in bytes, mtime, version; or a directory."""
        (found,) = self.stat_batch([name])
        return found

    @overload
    def stat_batch(self, names: Iterable[str]) -> list[Stat]: ...
    @overload
    def stat_batch(self, names: Iterable[str], return_exceptions: Literal[False]) -> list[Stat]: ...
    @overload
    def stat_batch(self, names: Iterable[str], return_exceptions: bool) -> list[Union[Stat, ForebayError]]: ...
    def stat_batch(self, names: Iterable[str], return_exceptions: bool = False) -> Any:
        """What many names are, in a few requests, in their order. Up to 1,048,576 names.

        Raises the first failure; with `return_exceptions` failures stand in the list instead.
        """
        names = _list_of(names, "names")
        found, message, retry_after_ms = self._live().stat(names)
        results: list[Union[Stat, ForebayError]] = []
        for name, (code, directory, size, mtime_ns, chunk_size, version) in zip(names, found):
            there = code == "Ok"
            results.append(Stat(directory, size, mtime_ns, chunk_size, version) if there else _errors.make(code, name))
        return _checked(results, message, retry_after_ms, return_exceptions)

    def exists(self, name: str) -> bool:
        """Whether there is an object or a directory of that name."""
        try:
            self.stat(name)
        except FileNotFoundError:
            return False
        return True

    def scandir(self, directory: str) -> Iterator[Entry]:
        """The names of a directory, in order, page by page: bounded memory for a million of them. Not recursive."""
        cursor = ""
        while True:
            entries, cursor = self._live().list(directory, cursor, 0)
            for entry in entries:
                yield Entry(*entry)
            if not cursor:
                return

    def ls(self, directory: str) -> list[Entry]:
        """The names of a directory, in order. Not recursive."""
        return list(self.scandir(directory))

    # ---- bytes ----

    @overload
    def open(  # type: ignore[overload-overlap]
        self, name: str, mode: Literal["rb"] = "rb", *, buffering: Literal[0], revalidate: bool = False
    ) -> File: ...
    @overload
    def open(
        self, name: str, mode: str = "rb", *, buffering: int = -1, encoding: Optional[str] = None,
        errors: Optional[str] = None, newline: Optional[str] = None, revalidate: bool = False,
    ) -> IO[Any]: ...
    def open(
        self, name: str, mode: str = "rb", *, buffering: int = -1, encoding: Optional[str] = None,
        errors: Optional[str] = None, newline: Optional[str] = None, revalidate: bool = False,
    ) -> Any:
        """Opens the object's present version as a file object.

        mode: "rb", or "r" for text (with encoding, errors and newline as the built-in open).
        buffering: 0: a `File`, where each read is one request. -1: an io.BufferedReader over it, whose `.raw` is the
            File, with 256 KiB; a positive number: that many bytes. Text is always buffered.
        revalidate: asks the origin for the version, whatever is cached.

        Raises NotFoundError (also for a directory), io.UnsupportedOperation for a mode that writes.
        """
        if mode not in ("r", "rt", "rb"):
            raise io.UnsupportedOperation(f"mode {mode!r} of {name}: a cell is read-only here; write rb or r")
        text = mode != "rb"
        if buffering == 0 and text:
            raise ValueError("text is read through a buffer: leave buffering, or use the mode rb")
        if not text and (encoding is not None or errors is not None or newline is not None):
            raise ValueError("encoding, errors and newline are for the mode r")
        raw = File(self._live().open(name, revalidate), name)
        if buffering == 0:
            return raw
        buffered = io.BufferedReader(raw, BUFFER_SIZE if buffering < 0 else buffering)
        return io.TextIOWrapper(buffered, encoding, errors, newline) if text else buffered

    def read(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        """The bytes [offset, offset + length) of an object, fewer at its end; without `length` up to its end."""
        with self.open(name, buffering=0) as file:
            return file.pread(file.size if length is None else length, offset)

    @overload
    def read_batch(self, requests: Iterable[tuple[Source, int, WritableBuffer]]) -> list[int]: ...
    @overload
    def read_batch(
        self, requests: Iterable[tuple[Source, int, WritableBuffer]], return_exceptions: Literal[False]
    ) -> list[int]: ...
    @overload
    def read_batch(
        self, requests: Iterable[tuple[Source, int, WritableBuffer]], return_exceptions: bool
    ) -> list[Union[int, ForebayError]]: ...
    def read_batch(
        self, requests: Iterable[tuple[Source, int, WritableBuffer]], return_exceptions: bool = False
    ) -> Any:
        """Reads up to 1,048,576 ranges at once, in as few requests as they fit in, into the caller's memory.

        requests: (name or unbuffered File, offset in bytes, buffer) each. A buffer is any writable C-contiguous object
            with the buffer protocol: a NumPy array of any shape and dtype, a row of one, a bytearray. As many bytes
            are read as it holds.
        Returns the bytes of each range, fewer than its buffer holds at the end of an object only.
        Raises the first failure, after all ranges have ended; with `return_exceptions` failures stand in the list
        instead. BufferError, ValueError or TypeError for memory that can't be written.
        """
        wanted = _list_of(requests, "ranges")
        outcomes = self._live().read_batch([(_native_of(source), offset, to) for source, offset, to in wanted])
        return _counts(outcomes, [_name_of(source) for source, _, _ in wanted], return_exceptions)

    def read_files(self, names: Iterable[str]) -> list[bytearray]:
        """The whole bytes of many small objects, in their order, in a few requests. Raises the first failure.

        All of them are in memory at once: give as many as fit.
        """
        names = list(names)
        buffers = [bytearray(found.size) for found in self.stat_batch(names)]
        counts = self.read_batch(zip(names, [0] * len(names), buffers))
        for name, buffer, got in zip(names, buffers, counts):
            del buffer[got:]
        return buffers

    @overload
    def prefetch(self, wanted: Iterable[Union[Source, tuple[Source, int, Optional[int]]]]) -> int: ...
    @overload
    def prefetch(
        self, wanted: Iterable[Union[Source, tuple[Source, int, Optional[int]]]], wait: Literal[True]
    ) -> int: ...
    @overload
    def prefetch(
        self, wanted: Iterable[Union[Source, tuple[Source, int, Optional[int]]]], wait: Literal[False]
    ) -> Prefetch: ...
    def prefetch(
        self, wanted: Iterable[Union[Source, tuple[Source, int, Optional[int]]]], wait: bool = True
    ) -> Union[int, Prefetch]:
        """Brings objects, or (name or File, offset, length or None) of them, into the cell, and no byte here.

        Returns the bytes that are there; with wait=False a `Prefetch` at once.
        """
        ranges = [(one, 0, None) if isinstance(one, (str, File)) else one for one in _list_of(wanted, "ranges")]
        native = self._live().prefetch([(_native_of(source), offset, length) for source, offset, length in ranges])
        pending = Prefetch(native, [_name_of(source) for source, _, _ in ranges])
        return pending.wait() if wait else pending

    # ---- life ----

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Ends the connection once calls of other threads have ended; its files then raise ValueError."""
        self._closed = True
        self._native.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        node, direct, timeout_ms, connect_timeout_ms, shared_memory = self._options
        return _unpickled, (node, timeout_ms / 1000, connect_timeout_ms / 1000, direct, shared_memory)

    def __repr__(self) -> str:
        cell = self._options[0] or ", ".join(self._options[1]) or "this machine"
        return f"<forebay.Client of {cell}{' closed' if self._closed else ''}>"


def connect(
    node: Optional[str] = None,
    *,
    direct: Iterable[str] = (),
    timeout: float = 60.0,
    connect_timeout: float = 3.0,
    shared_memory: bool = True,
) -> Client:
    """Connects to a node, or to a cell, and waits for the first answer.

    node: "unix:PATH" or "HOST:PORT". None: FOREBAY_NODE, or else this machine's node.
    direct: "HOST:PORT" of members of a cell, to read it without a node of this machine, straight from its nodes.
    timeout: seconds that each call may take; a busy or restarting node is asked again within it.
    connect_timeout: seconds that the node may take to answer at first.
    shared_memory: read objects of 2 MiB and more that this machine's node holds whole from its memory.

    Raises UnavailableError where no node answers, and says where it looked; ValueError for a bad argument.
    """
    return Client(
        node, direct=direct, timeout=timeout, connect_timeout=connect_timeout, shared_memory=shared_memory
    )


def _unpickled(
    node: Optional[str], timeout: float, connect_timeout: float, direct: Iterable[str], shared_memory: bool
) -> Client:
    return connect(node, direct=direct, timeout=timeout, connect_timeout=connect_timeout, shared_memory=shared_memory)


def _milliseconds(seconds: float, what: str) -> int:
    if not 0.001 <= seconds <= _MOST_SECONDS:
        raise ValueError(f"{what} is {seconds}: 0.001 to {_MOST_SECONDS:,} seconds")
    return round(seconds * 1000)


def _list_of(wanted: Iterable[Any], what: str) -> list[Any]:
    if isinstance(wanted, str):
        raise TypeError(f"{what}: a list, not one string")
    wanted = list(wanted)
    if len(wanted) > _MOST:
        raise ValueError(f"{len(wanted):,} {what}: {_MOST:,} at most at once")
    return wanted


def _native_of(source: Source) -> Union[str, _native.Object]:
    if isinstance(source, str):
        return source
    if isinstance(source, File):
        source._check_open()
        return source._native
    raise TypeError(f"a name or an unbuffered forebay.File, not {type(source).__name__}: open it with buffering=0")


def _name_of(source: Source) -> str:
    return source if isinstance(source, str) else str(source.name)


def _counts(
    outcomes: tuple[list[tuple[str, int]], str, int], sources: list[str], return_exceptions: bool = False
) -> list[Any]:
    results, message, retry_after_ms = outcomes
    told = [got if code == "Ok" else _errors.make(code, source) for source, (code, got) in zip(sources, results)]
    return _checked(told, message, retry_after_ms, return_exceptions)


def _checked(results: list[Any], message: str, retry_after_ms: int, return_exceptions: bool) -> list[Any]:
    """Raises the first failure with the library's message, unless failures are wanted."""
    if not return_exceptions:
        for result in results:
            if isinstance(result, ForebayError):
                raise _errors.make(result.code, message, retry_after_ms)
    return results
