"""A file object over one version of an object."""

from __future__ import annotations

import io
import os
from typing import Optional

from . import _native
from ._types import Stat, WritableBuffer


class View:
    """Bytes of an object in view, made by `File.view`: read-only, and what they are for as long as they are used.

    A context manager that gives a memoryview. At its end the bytes are given back, unless something that was made of
    them (numpy.frombuffer, torch.frombuffer, a slice) still lives: then when that is gone. A forked child may not use
    them.
    """

    def __init__(self, native: _native.View) -> None:
        self._buffer = memoryview(native)
        self.pinned = native.pinned
        """Whether they are in this machine's node's memory, which has less for others meanwhile; False: a copy."""

    @property
    def buffer(self) -> memoryview:
        """The bytes. Released once the view is."""
        return self._buffer

    def release(self) -> None:
        """Gives the bytes back. Again is fine."""
        try:
            self._buffer.release()
        except BufferError:
            self._buffer = memoryview(b"")  # whoever has a part of them keeps them

    def __enter__(self) -> memoryview:
        return self._buffer

    def __exit__(self, *_: object) -> None:
        self.release()

    def __len__(self) -> int:
        return self._buffer.nbytes


class File(io.RawIOBase):
    """One version of an object, open for reading, without a buffer: each read is one request to the node.

    Made by `Client.open`. A later version at the origin doesn't change an open file. Reads wait without the GIL and
    end with Ctrl-C; they give all the bytes that were asked for, fewer only at the end of the object. `pread` and
    `pread_into` don't move the file's position and may be used by many threads at once.
    """

    def __init__(self, native: _native.Object, name: str) -> None:
        super().__init__()
        self._native = native
        self._position = 0
        self.name = name
        self.mode = "rb"

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self._native.size

    def stat(self) -> Stat:
        """What is open: of this version, whatever the origin has by now. Asks nobody."""
        native = self._native
        return Stat(False, native.size, native.mtime_ns, native.chunk_size, native.version)

    def readable(self) -> bool:
        self._check_open()
        return True

    def seekable(self) -> bool:
        self._check_open()
        return True

    def tell(self) -> int:
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to `offset` bytes from the start, the position (whence=1) or the end (2), also beyond the end."""
        self._check_open()
        if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError(f"seek to {start + offset}: before the start of {self.name}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WritableBuffer) -> int:
        """Fills `buffer` (writable, C-contiguous) from the position; returns bytes, 0 at the end."""
        self._check_open()
        got = self._native.readinto(self._position, buffer)
        self._position += got
        return got

    def read(self, size: Optional[int] = -1, /) -> bytes:
        """`size` bytes from the position, fewer at the end only; all that is left where it is negative or None."""
        self._check_open()
        data = self._native.read(self._position, self._length(size))
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        """All bytes from the position to the end."""
        return self.read()

    def pread(self, size: int, offset: int) -> bytes:
        """`size` bytes at `offset`, as os.pread: fewer at the end only, b"" at or beyond it."""
        self._check_open()
        return self._native.read(_not_negative(offset, "offset"), _not_negative(size, "size"))

    def pread_into(self, buffer: WritableBuffer, offset: int) -> int:
        """Fills `buffer` (writable, C-contiguous) with the bytes at `offset`; returns how many."""
        self._check_open()
        return self._native.readinto(_not_negative(offset, "offset"), buffer)

    def map(self) -> memoryview:
        """All bytes of the object as this machine's node holds them, read-only and without a copy.

        They stay what they are for as long as the view or anything made of it lives (numpy.frombuffer, torch.frombuffer),
        also after close() and in a forked child; their memory is the node's, which has less for others meanwhile.
        What the node lacks it fetches first, within the client's timeout. Raises NotFoundError where it couldn't have all
        of it in one place in that time, ForebayError with the code "Busy" where it has given away as much as it may,
        "Unsupported" where there is no node of this machine, or the object has less than 2 MiB.
        """
        self._check_open()
        return memoryview(self._native.map())

    def view(self, offset: int, length: int) -> View:
        """`length` bytes at `offset` in view, fewer at the end of the object only.

            with file.view(offset, length) as bytes:
                batch.append(numpy.frombuffer(bytes, numpy.float32).sum())

        Without a copy where this machine's node has them in one piece of its memory (`View.pinned`): small objects, and
        ranges inside one chunk. Otherwise, and where programs have no more than their share of that memory in view
        already, as a copy. Fails as `pread` does.
        """
        self._check_open()
        return View(self._native.view(_not_negative(offset, "offset"), _not_negative(length, "length")))

    def close(self) -> None:
        """Gives the version back. Reads of other threads that are on their way end as they would."""
        if not self.closed:
            self._native.close()
        super().close()

    def __enter__(self) -> File:
        self._check_open()
        return self

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError(f"{self.name} is open: open it in the other process instead of pickling it")

    def __repr__(self) -> str:
        return f"<forebay.File {self.name!r}{' closed' if self.closed else ''}>"

    def _length(self, size: Optional[int]) -> int:
        if size is None or size < 0:
            return max(0, self.size - self._position)
        return size

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on a closed file")


def _not_negative(value: int, what: str) -> int:
    if value < 0:
        raise ValueError(f"{what} is {value}, below 0")
    return value
