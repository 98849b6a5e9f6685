"""The files that the demo reads: deterministic, made in seconds, and nowhere twice the same.

Every file is a window of one pseudo-random pattern that repeats; its length is a prime and the window's start follows
from the file's name, so bytes of another file, chunk or granule never look right by accident.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
PATTERN_BYTES = 16_777_213
CONTAINER = "data"  # a directory of the origin's root, and a container there


@dataclass(frozen=True)
class Sizes:
    shards: int
    shard_bytes: int
    model_bytes: int
    small_files: int
    small_folders: int

    def total(self):
        return sum(size for _, size in all_files(self))


# About 1 GB; Azurite takes and gives about 0.1 GB/s.
FULL = Sizes(shards=8, shard_bytes=64 * MIB, model_bytes=320 * MIB, small_files=10_000, small_folders=100)
FOR_AZURITE = Sizes(shards=4, shard_bytes=24 * MIB, model_bytes=48 * MIB, small_files=500, small_folders=10)


def shards(sizes):
    return [(f"shards/shard-{i:03}.tar", sizes.shard_bytes) for i in range(sizes.shards)]


def model(sizes):
    # Not a multiple of anything: the last chunk is a short one.
    return [("model/weights.safetensors", sizes.model_bytes - 12_345)]


def small_files(sizes):
    per_folder = sizes.small_files // sizes.small_folders
    for i in range(sizes.small_files):
        yield f"small/{i // per_folder:03}/{i:05}.json", 4096 + (i * 7919) % 8192


def all_files(sizes):
    yield from shards(sizes)
    yield from model(sizes)
    yield from small_files(sizes)


def make(root, sizes, progress):
    """Writes the files below root/CONTAINER unless they are there; `progress(bytes done)` is called now and then."""
    home = Path(root) / CONTAINER
    stamp = Path(f"{root}.json")  # beside the root, in which everything would be a container
    wanted = {"sizes": vars(sizes), "pattern": 1}
    if stamp.is_file() and stamp.read_text() == json.dumps(wanted):
        return home
    stamp.unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    pattern = hashlib.shake_128(b"forebay demo").digest(PATTERN_BYTES)
    done = 0
    for name, size in all_files(sizes):
        path = home / name
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        with open(path, "wb", buffering=0) as file:
            for piece in window(pattern, name, size):
                file.write(piece)
        done += size
        progress(done)
    stamp.write_text(json.dumps(wanted))
    return home


def window(pattern, name, size):
    """The bytes of a file, as slices of the pattern."""
    at = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") % len(pattern)
    view = memoryview(pattern)
    while size > 0:
        piece = view[at : at + size]
        yield piece
        size -= len(piece)
        at = 0
