"""Ports of loopback for servers that are started later, so that nothing takes them in between.

They lie below the ports that the kernel gives to whoever doesn't ask for one: else an outgoing connection takes a free
port just before its server listens. Each process has a block of them for itself, by the name of a socket that lives as
long as the process, so test workers beside each other never choose the same.
"""

import functools
import itertools
import socket
from pathlib import Path

BLOCK = 256
LOWEST = 10_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


@functools.cache
def _block():
    """A number without end of this process's ports, and the socket whose name keeps the block."""
    end = int(_EPHEMERAL.read_text().split()[0])
    for first in range(LOWEST, end - BLOCK + 1, BLOCK):
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0forebay-test-ports-{first}")
        except OSError:
            name.close()
            continue
        return itertools.cycle(range(first, first + BLOCK)), name
    raise OSError(f"no block of {BLOCK} ports is left between {LOWEST} and {end} ({_EPHEMERAL})")


def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that just ended are no listener
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count):
    """`count` distinct ports that nobody listens on; the same ones come again only after the whole block did."""
    ports, _ = _block()
    found = list(itertools.islice(filter(_is_free, itertools.islice(ports, BLOCK)), count))
    if len(found) < count:
        raise OSError(f"{count} free ports asked of a block of {BLOCK}, {len(found)} are free")
    return found
