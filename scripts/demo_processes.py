"""What the demo starts, and how all of it ends: by pid, whoever is left to do it.

A list in HOME/running.json says what runs, and is written before anything else happens with a process; so `demo.py stop`
ends what a demo left behind, also one that was killed. A pid counts only together with its start time: pids are reused.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

STOP_SECONDS = 10
READER, MOUNT, NODE, ORIGIN = range(4)  # who needs whom: in this order they end


class DemoError(Exception):
    """What went wrong, and what to do about it: shown as it is. `log` is a file whose end belongs to it."""

    def __init__(self, message, log=None):
        super().__init__(message)
        self.log = log


class Running:
    """Processes and mounts of the demo in `home`."""

    def __init__(self, home):
        self.home = Path(home)
        self.file = self.home / "running.json"
        self.things = json.loads(self.file.read_text()) if self.file.is_file() else []
        self.children = {}  # of this process, by pid: they must be waited for

    def start(self, rank, name, command, log, **options):
        """Starts a process in a session of its own, so that Ctrl-C reaches the demo alone and the cell may outlive it.
        What has a lower rank ends earlier."""
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as out:
            options = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, **options}
            process = subprocess.Popen([str(c) for c in command], start_new_session=True, **options)
        self.children[process.pid] = process
        self._add({"kind": "process", "rank": rank, "name": name, "pid": process.pid, "since": start_time(process.pid)})
        return process

    def will_mount(self, directory):
        self._add({"kind": "mount", "directory": str(directory)})

    def started_server(self, directory):
        """One of scripts/real_servers.sh, which keeps its own pid file there."""
        self._add({"kind": "server", "directory": str(directory)})

    def made_directory(self, directory):
        """One outside of `home`: to be removed."""
        self._add({"kind": "directory", "directory": str(directory)})

    def _add(self, thing):
        self.things = [t for t in self.things if t["kind"] != "process" or self._alive(t)] + [thing]
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.things, indent=1))
        part.replace(self.file)

    def kill(self, process):
        """kill -9: what the demo shows."""
        process.kill()
        process.wait()

    def stop_all(self, scripts):
        """Ends everything: readers, then mounts, then nodes, then the origin. Returns complaints."""
        complaints = []
        for rank in (READER, MOUNT, NODE, ORIGIN):
            complaints += self._end([t for t in self.things if t.get("rank") == rank])
            if rank == MOUNT:
                for thing in self._of_kind("mount"):
                    complaints += detach(thing["directory"])
        for thing in self._of_kind("server"):
            done = subprocess.run([scripts / "real_servers.sh", "stop", thing["directory"]], check=False)
            complaints += [f"stopping the server in {thing['directory']} failed"] if done.returncode else []
        for thing in self._of_kind("directory"):
            shutil.rmtree(thing["directory"], ignore_errors=True)
        self.things = []
        self.file.unlink(missing_ok=True)
        return complaints

    def _of_kind(self, kind):
        return [thing for thing in reversed(self.things) if thing["kind"] == kind]

    def _end(self, processes):
        for thing in processes:
            self._signal(thing, signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        while any(self._alive(t) for t in processes) and time.monotonic() < end:
            time.sleep(0.02)
        left = [thing for thing in processes if self._alive(thing)]
        for thing in left:
            self._signal(thing, signal.SIGKILL)
        return [f"{t['name']} (pid {t['pid']}) did not end within {STOP_SECONDS} s of SIGTERM and was killed" for t in left]

    def _alive(self, thing):
        child = self.children.get(thing["pid"])
        if child is not None:
            return child.poll() is None
        return start_time(thing["pid"]) == thing["since"]

    def _signal(self, thing, number):
        if not self._alive(thing):
            return
        try:
            os.kill(thing["pid"], number)
        except ProcessLookupError:
            pass


def start_time(pid):
    """When a process started, in the kernel's ticks; None where there is none, or only its corpse."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold anything
    return None if fields[0] in "ZX" else int(fields[19])


def is_mounted(directory):
    """From the kernel's table: asking the mount itself could hang."""
    escaped = str(directory).replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        return any(line.split(" ")[1] == escaped for line in mounts)


def detach(directory):
    """Takes away a mount whose process is gone."""
    if not is_mounted(directory):
        return []
    command = ["umount", "-l", directory] if os.geteuid() == 0 else ["fusermount3", "-u", "-z", directory]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [f"{' '.join(command)}: {done.stderr.strip()}"] if done.returncode else []


def tail(log, lines=15):
    try:
        text = Path(log).read_bytes()[-16_000:].decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def wait_until(what, condition, process, log, seconds=30):
    """Waits for `condition()`, and says why it can't come true any more when `process` has ended."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise DemoError(f"{what}: the process ended with exit code {process.returncode}", log)
        if time.monotonic() > end:
            raise DemoError(f"{what}: not after {seconds} s", log)
        time.sleep(0.02)


def need_program(name, package):
    if shutil.which(name) is None:
        raise DemoError(f"{name} is missing. Install it: apt-get install {package} (`make demo` does that)")
