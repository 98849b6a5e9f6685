"""Processes of a test: started in groups of their own, logged, and ended whatever happens.

    running = Running(log_dir)
    node = running.start("node-1", ["forebay", "node", ...])
    node.kill()              # -9, as a test of trouble wants it
    running.end()            # everything else, in reverse order; returns what went wrong that nobody expected

A process that ends by itself, or a sanitizer's report in any log, is a failure of the test even if nothing else noticed.
"""

import ctypes
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

STOP_SECONDS = 20  # a clean stop under ASan with leak detection takes a few seconds
_SANITIZER = re.compile(
    rb"ERROR: (?:Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|\.(?:cc|h|hpp):\d+:\d+: runtime error:"
)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def until(what, condition, seconds=30.0):
    """Waits until `condition()` gives something true, and returns it; fails saying `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds:g} s still not: {what}")
        time.sleep(0.02)


class Process:
    """One process and its log. `stop` asks it to end and expects 0; `kill` doesn't ask."""

    def __init__(self, name, command, log, env=None, stdin=subprocess.DEVNULL, stdout=None):
        self.name, self.command, self.log = name, [str(c) for c in command], Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._parent = os.getpid()
        self.expected_to_end = False
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(
                self.command,
                stdin=stdin,
                stdout=stdout if stdout is not None else out,
                stderr=out,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=self._die_with_parent,
            )

    def _die_with_parent(self):
        # Should pytest itself be killed, nothing stays behind.
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:
            os._exit(1)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def tail(self, lines=60):
        text = self.log.read_bytes()[-64_000:].decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def signal_group(self, number):
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def kill(self):
        """kill -9, and waits until it is gone."""
        self.expected_to_end = True
        self.signal_group(signal.SIGKILL)
        self.popen.wait()

    def pause(self):
        self.signal_group(signal.SIGSTOP)

    def resume(self):
        self.signal_group(signal.SIGCONT)

    def wait(self, seconds=60):
        """Waits for its own end and returns its exit status."""
        self.expected_to_end = True
        return self.popen.wait(timeout=seconds)

    def stop(self, seconds=STOP_SECONDS):
        """SIGTERM; returns None, or what was wrong with how it ended."""
        if not self.alive():
            if self.expected_to_end:
                return None
            return f"{self.name} ended by itself with {self.popen.returncode}"
        self.expected_to_end = True
        self.resume()
        self.popen.terminate()
        try:
            status = self.popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name} was still there {seconds} s after SIGTERM"
        self.signal_group(signal.SIGKILL)  # what it may have left of its group
        return None if status == 0 else f"{self.name} ended with {status} after SIGTERM"

    def sanitizer_report(self):
        match = _SANITIZER.search(self.log.read_bytes())
        return f"{self.name}: {match.group().decode()} (see {self.log})" if match else None


class Running:
    """Everything that one test started. `seconds` bounds the test: then all processes are killed, so that a read that
    hangs on a mount comes back with an error and the test fails instead of hanging."""

    def __init__(self, log_dir, seconds=120):
        self.log_dir = Path(log_dir)
        self.processes, self._cleanups = [], []
        self.timed_out = False
        self._seconds = seconds
        self._watchdog = threading.Timer(seconds, self._time_out)
        self._watchdog.daemon = True
        self._watchdog.start()

    def start(self, name, command, env=None, **streams):
        process = Process(name, command, self.log_dir / f"{name}.log", env, **streams)
        self.processes.append(process)
        self._cleanups.append(process.stop)
        return process

    def at_end(self, action):
        """`action()` runs at the end, before what was started earlier is stopped; it returns None or a complaint."""
        self._cleanups.append(action)

    def _time_out(self):
        self.timed_out = True
        for process in self.processes:
            process.expected_to_end = True
            process.signal_group(signal.SIGKILL)

    def end(self):
        """Ends everything, newest first. Returns complaints, also those that only a log shows."""
        complaints = []
        for action in reversed(self._cleanups):
            try:
                complaints.append(action())
            except Exception as error:  # the next one must still be ended
                complaints.append(f"{type(error).__name__}: {error}")
        self._watchdog.cancel()
        complaints += [process.sanitizer_report() for process in self.processes]
        if self.timed_out:
            complaints.append(f"the test was still running after {self._seconds} s: its processes were killed")
        return [complaint for complaint in complaints if complaint]
