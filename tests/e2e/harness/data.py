"""Bytes that are known: made from a name and an offset, so that a wrong byte shows wherever it comes from."""

import functools
import hashlib
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

CHUNK = 8 << 20  # of a mount by default
_PATTERN_BYTES = 16_777_213  # a prime: bytes of another chunk or granule never look right


@functools.cache
def pattern():
    return hashlib.shake_128(b"forebay").digest(_PATTERN_BYTES)


def known_bytes(container, name, offset, length, version=0):
    """Bytes [offset, offset + length) of a generated object, as tests/fake_origin makes them (objects.h there)."""
    start = int.from_bytes(hashlib.sha256(f"{container}/{name}#{version}".encode()).digest()[:8], "little")
    position = (start + offset) % _PATTERN_BYTES
    whole = pattern()
    parts = []
    while length > 0:
        part = whole[position : position + length]
        parts.append(part)
        length -= len(part)
        position = 0
    return b"".join(parts)


def make_file(path, size, container="data", name=None, version=0):
    """A file of known bytes; `name` is what the bytes are made from (by default the file's own)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        for offset in range(0, size, CHUNK):
            out.write(known_bytes(container, name or path.name, offset, min(CHUNK, size - offset), version))
    return path


def make_sparse_file(path, size):
    """A file that is all hole but for known bytes at its start, its middle and its end."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        out.truncate(size)
        for offset in sparse_marks(size):
            out.seek(offset)
            out.write(known_bytes("sparse", path.name, offset, 4096))
    return path


def sparse_marks(size):
    return (0, size // 2 + 1234, size - 4096)


def make_tree(directory, files, size=1000, per_directory=100):
    """`files` small files of about `size` bytes, `per_directory` in each directory. Returns their relative paths."""
    names = []
    for index in range(files):
        name = f"d{index // per_directory:04}/f{index:06}"
        make_file(Path(directory) / name, size + index % 97, name=name)
        names.append(name)
    return names


def read_file(path, offset=0, length=-1):
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), length, offset) if length >= 0 else file.readall()


class Killed(Exception):
    """The reading process was ended by a signal, such as SIGBUS."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.signal = number


_READ_MAPPED = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
view = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
sys.stdout.buffer.write(b"mapped %d\\n" % len(view)); sys.stdout.buffer.flush()
for line in sys.stdin:
    offset, length = map(int, line.split())
    sys.stdout.buffer.write(view[offset:offset + length]); sys.stdout.buffer.flush()
"""


class MappedReader:
    """A file mapped by a process of its own, since a mapping whose bytes are gone ends its reader with SIGBUS.

    with MappedReader(path) as mapped: mapped.read(0, 4096)   -> bytes, or raises Killed
    """

    def __init__(self, path):
        self._process = subprocess.Popen(
            [sys.executable, "-c", _READ_MAPPED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        first = self._process.stdout.readline()
        if not first.startswith(b"mapped "):
            raise OSError(f"cannot map {path}: the reader ended with {self._process.wait()}")
        self.size = int(first.split()[1])

    def read(self, offset, length):
        self._process.stdin.write(b"%d %d\n" % (offset, length))
        self._process.stdin.flush()
        data = self._process.stdout.read(length)
        if len(data) < length:
            status = self._process.wait()
            raise Killed(-status) if status < 0 else OSError(f"the mapped reader ended with {status}")
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


PAGE = mmap.PAGESIZE
