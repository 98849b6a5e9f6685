"""What tests change of the kernel, for a moment."""

import fcntl
from contextlib import contextmanager
from pathlib import Path

RING = Path("/sys/module/fuse/parameters/enable_uring")


@contextmanager
def io_uring_offered():
    """FUSE over io_uring, to mounts that are made inside: whether it is. The parameter is the whole machine's: others
    wait meanwhile, and it is as it was afterwards."""
    try:
        file = open(RING, "r+", encoding="ascii")
    except OSError:
        yield False
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = RING.read_text(encoding="ascii")
        RING.write_text("Y", encoding="ascii")
        try:
            yield True
        finally:
            RING.write_text(before, encoding="ascii")
