"""Other systems that mount an object store, as rows beside Forebay drive them: which there are, how each is started on the
fake origin, and what their results come to.

A peer runs where its program is on PATH, or where COMPARE_<NAME> names it; an empty COMPARE_<NAME> leaves it out. One
that isn't there is shown as "not run". Each has a cache of its own on disk that holds everything it read, names are
trusted for an hour, and nothing else is turned that its makers didn't.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

from harness.origins import AZURITE_ACCOUNT, AZURITE_KEY, S3_KEY, S3_KEY_ID, S3_REGION

NAMES_SECONDS = 3600
S3_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": S3_KEY_ID, "AWS_SECRET_ACCESS_KEY": S3_KEY, "AWS_REGION": S3_REGION}


class Peer:
    name = None  # as people know it
    binary = None

    @property
    def variable(self):
        return f"COMPARE_{self.binary.upper().replace('-', '_')}"

    def program(self, environ=os.environ):
        """None: it isn't to run."""
        if self.variable in environ:
            return environ[self.variable] or None
        return shutil.which(self.binary)

    def why_not(self):
        return f"not run: no `{self.binary}` on PATH, and no {self.variable}"

    def version(self, program):
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
        text = (done.stdout or done.stderr).strip()
        return next((word.strip("(),") for word in text.split() if any(c.isdigit() for c in word)), "unknown version")

    def command(self, program, origin, container, directory, home):
        """Words and environment that mount `container` at `directory`, in the foreground; `home` is for its cache and files."""
        raise NotImplementedError


class Rclone(Peer):
    name, binary = "rclone", "rclone"

    def command(self, program, origin, container, directory, home):
        remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": origin.info["s3"], "ACCESS_KEY_ID": S3_KEY_ID,
                  "SECRET_ACCESS_KEY": S3_KEY, "REGION": S3_REGION, "LIST_VERSION": "2", "LIST_URL_ENCODE": "true",
                  "FORCE_PATH_STYLE": "true"}
        # It doesn't start with this variable of its library in the environment.
        words = ["env", "-u", "AWS_CA_BUNDLE", program, "mount", f"peer:{container}", directory,
                 "--config", home / "none.conf", "--read-only", "--vfs-cache-mode", "full", "--cache-dir", home / "cache",
                 "--dir-cache-time", f"{NAMES_SECONDS}s", "--use-server-modtime"]  # or each name costs a HEAD
        return words, {f"RCLONE_CONFIG_PEER_{key}": value for key, value in remote.items()}


class S3fs(Peer):
    name, binary = "s3fs", "s3fs"

    def command(self, program, origin, container, directory, home):
        options = ["use_path_request_style", "listobjectsv2", "ro", f"url={origin.info['s3']}", f"endpoint={S3_REGION}",
                   f"use_cache={home / 'cache'}", f"stat_cache_expire={NAMES_SECONDS}"]
        return [program, container, directory, "-f", *(word for option in options for word in ("-o", option))], S3_ENVIRONMENT


class MountpointS3(Peer):
    name, binary = "mountpoint-s3", "mount-s3"

    def command(self, program, origin, container, directory, home):
        (home / "cache").mkdir()
        return [program, container, directory, "--foreground", "--read-only", "--endpoint-url", origin.info["s3"],
                "--force-path-style", "--region", S3_REGION, "--cache", home / "cache",
                "--metadata-ttl", str(NAMES_SECONDS)], S3_ENVIRONMENT


class BlobFuse2(Peer):
    name, binary = "BlobFuse2 file_cache", "blobfuse2"

    def command(self, program, origin, container, directory, home):
        config = home / "blobfuse2.yaml"
        config.write_text(f"""
components: [libfuse, file_cache, attr_cache, azstorage]
libfuse: {{attribute-expiration-sec: {NAMES_SECONDS}, entry-expiration-sec: {NAMES_SECONDS}}}
file_cache: {{path: {home / 'cache'}, timeout-sec: {NAMES_SECONDS}}}
attr_cache: {{timeout-sec: {NAMES_SECONDS}}}
azstorage: {{type: block, mode: key, account-name: {AZURITE_ACCOUNT}, account-key: {AZURITE_KEY},
  endpoint: "{origin.info['azure']}", container: {container}, use-http: true}}
""")
        return [program, "mount", directory, f"--config-file={config}", "--foreground=true", "--read-only"], {}


PEERS = (Rclone(), S3fs(), MountpointS3(), BlobFuse2())
# JuiceFS keeps objects in a format of its own, so it can't be mounted on what is there.
NOT_DRIVEN = {"JuiceFS": "not run: it can't serve objects that it didn't write"}


def session_of(pid):
    """The processes that have the session of `pid`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()  # state, ppid, pgrp, session, ...
        except OSError:
            continue  # it has ended
        if int(fields[3]) == pid:
            found.append(int(stat.parent.name))
    return found


def cpu_of(sessions):
    """CPU seconds of all processes of these sessions that are there, of all their threads, in user and kernel."""
    seconds = 0
    for leader in sessions:
        for pid in session_of(leader):
            try:
                seconds += time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid() gives
            except OSError:
                continue
    return seconds


class Measure:
    def __init__(self, key, what, unit, less_is_better=False):
        self.key, self.what, self.unit, self.less_is_better = key, what, unit, less_is_better


MEASURES = (
    Measure("seq.cold", "cold sequential", "GB/s"),
    Measure("seq.warm", "warm sequential", "GB/s"),
    Measure("first", "first 4 KiB of a cold file", "ms", less_is_better=True),
    Measure("four", "four readers of one cold file, together", "GB/s"),
    Measure("rand4k.cold", "random 4 KiB, cold, 8 at a time", "IOPS"),
    Measure("rand4k.warm", "random 4 KiB, warm, 8 at a time", "IOPS"),
    Measure("small.cold", "small files, cold, 8 at a time", "files/s"),
    Measure("small.warm", "small files, warm, 8 at a time", "files/s"),
    Measure("ls", "`ls -lR`, the first", "s", less_is_better=True),
    Measure("memory", "highest memory", "MiB", less_is_better=True),
    Measure("cpu.cold", "CPU, cold sequential", "s/GB", less_is_better=True),
    Measure("cpu.warm", "CPU, warm sequential", "s/GB", less_is_better=True),
)


def best_peer(measure, peers):
    """(name, value) of the peer that did best, or None. `peers`: results by name, each a value by measure's key."""
    known = [(name, results[measure.key]) for name, results in peers.items() if results.get(measure.key) is not None]
    if not known:
        return None
    return (min if measure.less_is_better else max)(known, key=lambda entry: entry[1])


def row(name, measure, ours, peers, goal, note=""):
    """A row of the bench: our value beside the best peer's; a goal, no gate."""
    value, best = ours[measure.key], best_peer(measure, peers)
    made = {"name": name, "value": value, "unit": measure.unit, "limit": None, "ratio": None}
    if best is None:
        return {**made, "note": "not run: no peer to compare with (docs/benchmarks.md)"}
    others = ", ".join(f"{peer} {shown(results.get(measure.key))}" for peer, results in peers.items())
    # Nothing at all can't be told from less than a clock shows.
    value_or_least = max(value, 1e-4)
    ratio = best[1] / value_or_least if measure.less_is_better else value / best[1]
    return {**made, "limit": best[1], "ratio": ratio,
            "note": f"{measure.what}; the best peer, not a limit: {best[0]} ({others}); goal {goal}{note}"}


def shown(value):
    return "-" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(ours, peers, versions, not_run, notes):
    names = ["Forebay", *peers, *not_run]
    results = {"Forebay": ours, **peers}
    rows = []
    for measure in MEASURES:
        cells = [shown(results[name].get(measure.key)) if name in results else "not run" for name in names]
        rows.append([f"{measure.what}, {measure.unit}", *cells])
    columns = ["", *(f"{name} {versions[name]}" if name in versions else name for name in names)]
    return {"title": "Beside other systems", "columns": columns, "rows": rows,
            "notes": [*notes, *(f"{name}: {why}" for name, why in not_run.items())]}
