"""Which cores a row's processes run on, where they stand for two machines.

The kernel likes to wake a receiver on the core where its sender runs. Two processes that work at the same time then share
a core while the other one idles, for as long as a run takes or not at all, by chance; between machines that can't happen.
So the senders of such a row get the first core and the receivers the last one, in the row and in its limit.
"""

import os

_CORES = sorted(os.sched_getaffinity(0))
SENDERS, RECEIVERS = _CORES[0], _CORES[-1]
TOLD = "senders on one core, receivers on another"


def keep_on(core, process):
    """Its first thread: a node's loop, which sends and receives. The others run where there is room, as on a machine of
    more cores."""
    os.sched_setaffinity(process.pid, {core})


def on(core, command):
    """The command, to be run on that core."""
    return ["taskset", "--cpu-list", core, *command]
