"""What callers give and get."""

from __future__ import annotations

import array
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    WritableBuffer = Union[bytearray, memoryview, "array.array[Any]", mmap.mmap, Any]
else:
    WritableBuffer = Any
"""Any object with the buffer protocol, writable and C-contiguous: a bytearray, a NumPy array, a pinned tensor's
`.numpy()`."""


@dataclass(frozen=True)
class Entry:
    """One name of a directory."""

    name: str
    """The last component of its path."""
    directory: bool
    size: int
    """Bytes; 0 of a directory."""
    mtime_ns: int
    """Nanoseconds since 1970 (UTC); 0 of a directory."""


@dataclass(frozen=True)
class Stat:
    """What a name is."""

    directory: bool
    size: int
    """Bytes; 0 of a directory, as are the numbers below."""
    mtime_ns: int
    """Nanoseconds since 1970 (UTC)."""
    chunk_size: int
    """Bytes. Reads of whole chunks are the cheapest."""
    version: str
    """The origin's word for this version (an ETag); another version has another one. "" of a directory."""
