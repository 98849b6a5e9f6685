#!/usr/bin/env python3
"""One reader of the demo, as a process: reads files from a mount or straight from the origin, and compares every byte
with what was generated.

Its task is one line of JSON on stdin; it answers "ready", starts at the next line ("go"), and ends with one line of
JSON: bytes, reads, wrong bytes, failed reads (with the first few reasons), seconds, and when it was asked to, the
time and duration of each read. It keeps nothing: pages that the kernel cached are dropped, so that a second pass asks
the mount again. The plain reader over HTTP is as lean as Python allows (prepared requests on connections that stay):
what it is compared with shall not look good because this one is slow.
"""

import json
import os
import random
import socket
import sys
import threading
import time
import urllib.parse

PIECE = 4 << 20  # what one read asks for; whole-file reads of small files are one read
RANDOM_READ = 1 << 20
SHOWN_FAILURES = 3
HTTP_TIMEOUT_S = 60


class MountSource:
    """Files below a directory, as any program reads them."""

    def __init__(self, root, scattered):
        self.root, self.scattered = root, scattered
        self._local = threading.local()

    def list(self, folder):
        """As programs find their files; it tells the mount what is there, too."""
        for entry in os.scandir(os.path.join(self.root, folder)):
            entry.stat()

    def read(self, name, offset, size):
        descriptor = self._open(name)
        parts = []
        while size > 0:
            part = os.pread(descriptor, size, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def forget(self, name, offset, size):
        os.posix_fadvise(self._open(name), offset, size, os.POSIX_FADV_DONTNEED)

    def _open(self, name):
        """Each thread keeps the file that it read last."""
        if getattr(self._local, "name", None) != name:
            self.close()
            self._local.descriptor = os.open(os.path.join(self.root, name), os.O_RDONLY)
            self._local.name = name
            if self.scattered:
                os.posix_fadvise(self._local.descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        return self._local.descriptor

    def close(self):
        """A failed read must not leave a descriptor that fails for good."""
        if getattr(self._local, "name", None) is not None:
            self._local.name = None
            os.close(self._local.descriptor)


class HttpSource:
    """Objects of a container that anybody may read, by ranged GETs over one connection per thread."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.address = (parts.hostname, parts.port)
        self.host, self.base = parts.netloc, parts.path
        self._local = threading.local()

    def read(self, name, offset, size):
        if getattr(self._local, "socket", None) is None:
            self._local.socket = socket.create_connection(self.address, timeout=HTTP_TIMEOUT_S)
            self._local.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        path = f"{self.base}/{urllib.parse.quote(name)}"
        # An API version that knows If-Match and long ranges; anonymous requests must name one.
        self._local.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nx-ms-version: 2021-12-02\r\n"
            f"Range: bytes={offset}-{offset + size - 1}\r\n\r\n".encode()
        )
        return self._answer(name)

    def _answer(self, name):
        head, rest = b"", b""
        while True:
            received = self._local.socket.recv(65536)
            if not received:
                raise OSError(f"{name}: the origin closed the connection")
            head += received
            end = head.find(b"\r\n\r\n")
            if end >= 0:
                head, rest = head[:end], head[end + 4 :]
                break
        lines = head.decode("latin-1").split("\r\n")
        length = next((int(line[15:]) for line in lines if line[:15].lower() == "content-length:"), None)
        status = int(lines[0].split(" ")[1])
        if status not in (200, 206) or length is None:
            raise OSError(f"{name}: the origin answered {lines[0]}")
        body = bytearray(length)
        body[: len(rest)] = rest
        view, at = memoryview(body), len(rest)
        while at < length:
            count = self._local.socket.recv_into(view[at:])
            if count == 0:
                raise OSError(f"{name}: the origin closed the connection in the middle")
            at += count
        return body

    def forget(self, name, offset, size):
        pass

    def close(self):
        if getattr(self._local, "socket", None) is not None:
            self._local.socket.close()
            self._local.socket = None


class Reader:
    def __init__(self, task):
        self.task = task
        scattered = task.get("seconds") is not None
        self.source = MountSource(task["mount"], scattered) if "mount" in task else HttpSource(task["url"])
        self.truth = MountSource(task["truth"], scattered)
        self.lock = threading.Lock()
        self.bytes = self.reads = self.wrong = self.failed = 0
        self.failures, self.times = [], []
        self.work = self._scattered() if scattered else self._once()

    def _once(self):
        """Every file once, whole, in an order of this reader's own, as training jobs do."""
        files = list(self.task["files"])
        if "mount" in self.task:
            for folder in sorted({os.path.dirname(name) for name, _ in files}):
                self.source.list(folder)
        if self.task["order"] is not None:
            random.Random(self.task["order"]).shuffle(files)
        for name, size in files:
            for offset in range(0, size, PIECE):
                yield name, offset, min(PIECE, size - offset)

    def _scattered(self):
        """Reads of 1 MiB anywhere, until the time is over."""
        choose = random.Random(self.task["order"])
        files = self.task["files"]
        end = time.monotonic() + self.task["seconds"]
        while time.monotonic() < end:
            name, size = choose.choice(files)
            yield name, choose.randrange(max(size // RANDOM_READ, 1)) * RANDOM_READ, min(RANDOM_READ, size)

    def run(self):
        began = time.monotonic()
        threads = [threading.Thread(target=self._serve) for _ in range(self.task["threads"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {
            "bytes": self.bytes, "reads": self.reads, "wrong_bytes": self.wrong, "failed_reads": self.failed,
            "failures": self.failures, "seconds": time.monotonic() - began, "times": self.times,
        }

    def _serve(self):
        while True:
            with self.lock:
                piece = next(self.work, None)
            if piece is None:
                break
            self._read(*piece)
        self.source.close()
        self.truth.close()

    def _read(self, name, offset, size):
        began = time.monotonic()
        try:
            data = self.source.read(name, offset, size)
            took = time.monotonic() - began
            self.source.forget(name, offset, size)
        except OSError as error:
            self.source.close()
            with self.lock:
                self.failed += 1
                if len(self.failures) < SHOWN_FAILURES:
                    self.failures.append(f"{name} at {offset} after {time.monotonic() - began:.1f} s: {error}")
            return
        wrong = count_wrong(data, self.truth.read(name, offset, size))
        with self.lock:
            self.bytes += len(data)
            self.reads += 1
            self.wrong += wrong
            if self.task.get("keep_times"):
                self.times.append((round(began, 4), round(took, 6)))


def count_wrong(data, truth):
    if data == truth:
        return 0
    differing = sum(a != b for a, b in zip(data, truth))
    return differing + abs(len(data) - len(truth))


def main():
    reader = Reader(json.loads(sys.stdin.readline()))
    print("ready", flush=True)
    if sys.stdin.readline():
        print(json.dumps(reader.run()), flush=True)


if __name__ == "__main__":
    main()
