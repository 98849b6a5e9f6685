"""The fake origin as a program: what clients get from it, with and without faults, and what it counts.

FOREBAY_BIN names the directory of the programs, as for the end-to-end tests.
"""

import hashlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
import put_tree  # noqa: E402

BODY = bytes(range(256)) * 40


class Fake:
    def __init__(self, *arguments):
        program = pathlib.Path(os.environ.get("FOREBAY_BIN", ROOT / "build" / "dev" / "bin")) / "forebay_fake_origin"
        if not program.is_file():
            pytest.fail(f"{program} is not there: build it, or set FOREBAY_BIN", pytrace=False)
        self.process = subprocess.Popen([program, "--die-with-parent", *arguments], stdout=subprocess.PIPE)
        self.ports = json.loads(self.process.stdout.readline())
        self.azure = put_tree.open_store(f"az+{self.ports['azure']}/c")
        self.s3 = put_tree.open_store(f"s3+{self.ports['s3']}/c")
        self.azure.attempts = self.s3.attempts = 1

    def admin(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["admin_port"], timeout=10)
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def fault(self, **rule):
        status, answer = self.admin("POST", "/faults", rule)
        assert status == 200, answer

    def get(self, path="/devstoreaccount1/c/n", headers=None, port="azure_port", method="GET"):
        """(status, headers, body) without credentials; an exception of http.client for a body that is cut."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=5)
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    def stats(self):
        return self.admin("GET", "/stats")[1]


@pytest.fixture(scope="module")
def running():
    fake = Fake("--anonymous")
    yield fake
    fake.process.terminate()
    assert fake.process.wait(10) == 0, "a clean end, also for the sanitizers"


@pytest.fixture
def fake(running):
    assert running.admin("POST", "/reset", {"objects": True}) == (200, {})
    running.azure.create_container()
    running.azure.put("n", BODY)
    running.admin("POST", "/reset", {})
    return running


def test_a_range_is_answered_by_both_dialects_with_the_same_bytes(fake):
    status, headers, body = fake.get(headers={"x-ms-range": "bytes=10-19", "Range": "bytes=0-4"})
    assert (status, body) == (206, BODY[10:20]), "x-ms-range beats Range"
    assert headers["Content-Range"] == f"bytes 10-19/{len(BODY)}"
    assert headers["x-ms-blob-type"] == "BlockBlob"
    status, headers, body = fake.get("/c/n", {"Range": "bytes=-5"}, "s3_port")
    assert (status, body) == (206, BODY[-5:])


def test_beyond_the_end_is_416_with_the_size(fake):
    for start in (len(BODY), len(BODY) + 1):
        status, headers, _ = fake.get(headers={"Range": f"bytes={start}-"})
        assert (status, headers["Content-Range"]) == (416, f"bytes */{len(BODY)}")
        assert headers["x-ms-error-code"] == "InvalidRange"


def test_conditions_hold_a_reader_to_its_version(fake):
    tag = fake.get(method="HEAD")[1]["ETag"]
    assert fake.get(headers={"If-Match": tag})[0] == 200
    assert fake.get(headers={"If-None-Match": tag})[0] == 304
    assert fake.admin("POST", "/objects/change", {"container": "c", "name": "n"}) == (200, {})
    status, headers, _ = fake.get(headers={"If-Match": tag})
    assert (status, headers["x-ms-error-code"]) == (412, "ConditionNotMet")
    assert fake.get("/c/n", {"If-Match": tag}, "s3_port")[0] == 412


def test_a_head_has_no_body_even_when_it_fails(fake):
    assert fake.get(method="HEAD")[2] == b""
    status, headers, body = fake.get("/devstoreaccount1/c/absent", method="HEAD")
    assert (status, headers["x-ms-error-code"], body) == (404, "BlobNotFound", b"")


def test_both_kinds_of_host_are_understood(fake):
    assert fake.get("/c/n", {"Host": "devstoreaccount1.blob.localhost:1"})[2] == BODY
    assert fake.get("/n", {"Host": "c.localhost:1"}, "s3_port")[2] == BODY


def test_a_proxy_s_request_is_served_and_counted(fake):
    assert fake.get("http://devstoreaccount1.blob.example/c/n", {"Host": "devstoreaccount1.blob.example"})[2] == BODY
    assert fake.stats()["proxied"] == 1


def test_without_anonymous_reads_credentials_are_needed(fake):
    fake.admin("POST", "/settings", {"anonymous": False})
    assert fake.get()[0] == 401
    assert fake.get("/c/n", port="s3_port")[0] == 403
    assert fake.azure.get("n") == fake.s3.get("n") == BODY
    fake.admin("POST", "/settings", {"clock_offset_s": 901})
    for store, code in ((fake.azure, "AuthenticationFailed"), (fake.s3, "RequestTimeTooSkewed")):
        with pytest.raises(put_tree.StoreError) as late:
            store.get("n")
        assert (late.value.status, late.value.code) == (403, code)
    assert fake.stats()["auth_failures"] == 4


def test_pages_of_a_listing_may_be_short_or_empty(fake):
    fake.admin("POST", "/objects", [{"container": "c", "name": f"d/{i:02}", "size": i} for i in range(10)])
    expected = [(f"d/{i:02}", i) for i in range(10)]
    for settings in ({}, {"page_cap": 3}, {"page_cap": 1, "empty_pages": True}):
        fake.admin("POST", "/settings", settings)
        assert list(fake.azure.list("d/")) == expected
        assert list(fake.s3.list("d/")) == expected
    assert fake.stats()["requests_by_op"]["list"] == 2 * (1 + 4 + 20)


def test_generated_content_is_what_the_readme_says(fake):
    size, version = 40 << 30, 1
    fake.admin("POST", "/objects", {"container": "c", "name": "huge", "size": size})
    fake.admin("POST", "/objects/change", {"container": "c", "name": "huge"})
    pattern = hashlib.shake_128(b"forebay").digest(16_777_213)
    start = int.from_bytes(hashlib.sha256(f"c/huge#{version}".encode()).digest()[:8], "little") % len(pattern)
    for offset in (0, len(pattern) - start - 10, size - 1000):
        _, _, body = fake.get("/devstoreaccount1/c/huge", {"Range": f"bytes={offset}-{offset + 999}"})
        assert body == bytes(pattern[(start + i) % len(pattern)] for i in range(offset, min(size, offset + 1000)))


def test_distinct_bytes_are_the_union_of_what_was_sent_per_version(fake):
    for asked in ("bytes=0-99", "bytes=50-149", "bytes=0-99"):
        fake.get(headers={"Range": asked})
    fake.admin("POST", "/objects/change", {"container": "c", "name": "n"})
    fake.get(headers={"Range": "bytes=0-9"})
    stats = fake.stats()
    assert (stats["get_bytes"], stats["distinct_get_bytes"], stats["requests_by_op"]["get"]) == (310, 160, 4)
    requests = fake.admin("GET", "/requests")[1]
    assert [(r["offset"], r["sent"], r["status"]) for r in requests][:2] == [(0, 100, 206), (50, 100, 206)]


def test_statuses_come_with_the_services_own_codes_and_waits(fake):
    fake.fault(op="get", next=1, action={"type": "status", "status": 503, "retry_after": "2"})
    fake.fault(op="get", next=1, action={"type": "status", "status": 429, "retry_after": "150",
                                         "retry_after_header": "x-ms-retry-after-ms"})
    status, headers, body = fake.get()
    assert (status, headers["Retry-After"], headers["x-ms-error-code"]) == (503, "2", "ServerBusy")
    assert b"<Code>ServerBusy</Code>" in body
    status, headers, body = fake.get("/c/n", port="s3_port")
    assert (status, headers["x-ms-retry-after-ms"]) == (429, "150")
    assert fake.get()[0] == 200
    assert fake.stats()["faults"] == 2


def test_a_body_can_end_early_and_be_counted_as_far_as_it_went(fake):
    fake.fault(next=1, action={"type": "cut", "bytes": 1000})
    with pytest.raises(http.client.IncompleteRead) as cut:
        fake.get()
    assert cut.value.partial == BODY[:1000]
    fake.fault(next=1, action={"type": "reset", "bytes": 0})
    with pytest.raises(ConnectionResetError):
        fake.get()
    assert fake.stats()["get_bytes"] == 1000


def test_lengths_and_ranges_can_lie(fake):
    fake.fault(next=1, action={"type": "content_length", "delta": 5})
    with pytest.raises(http.client.IncompleteRead):
        fake.get()
    fake.fault(next=1, action={"type": "content_length", "delta": -5})
    assert fake.get()[2] == BODY[:-5]
    fake.fault(next=1, action={"type": "content_range", "delta": 7})
    status, headers, body = fake.get(headers={"Range": "bytes=0-9"})
    assert (status, headers["Content-Range"], body) == (206, f"bytes 7-16/{len(BODY)}", BODY[:10])
    fake.fault(next=1, action={"type": "ignore_range"})
    assert fake.get(headers={"Range": "bytes=0-9"})[::2] == (200, BODY)
    fake.fault(next=1, action={"type": "corrupt", "bytes": 3})
    assert fake.get(headers={"Range": "bytes=0-9"})[2] == BODY[:3] + bytes([BODY[3] ^ 0xFF]) + BODY[4:10]


def test_objects_can_change_or_vanish_under_a_reader(fake):
    tag = fake.get()[1]["ETag"]
    fake.fault(op="get", next=1, action={"type": "change", "bytes": 5})
    assert fake.get(headers={"If-Match": tag})[0] == 412
    assert len(fake.get()[2]) == 5
    fake.fault(op="get", next=1, action={"type": "delete"})
    assert fake.get()[0] == 404


def test_an_answer_can_be_late_slow_or_absent(fake):
    fake.fault(next=1, action={"type": "latency", "ms": 200})
    began = time.monotonic()
    assert fake.get()[2] == BODY
    assert time.monotonic() - began >= 0.2
    fake.fault(next=1, action={"type": "drip", "bytes": len(BODY) // 5, "ms": 50})
    began = time.monotonic()
    assert fake.get()[2] == BODY
    assert time.monotonic() - began >= 0.2
    fake.fault(next=1, action={"type": "hang"})
    with socket.create_connection(("127.0.0.1", fake.ports["azure_port"])) as raw:
        raw.sendall(b"GET /devstoreaccount1/c/n HTTP/1.1\r\nHost: h\r\n\r\n")
        raw.settimeout(0.2)
        with pytest.raises(TimeoutError):
            raw.recv(1)
        assert fake.stats()["in_flight"] == 1
    until(lambda: fake.stats()["in_flight"] == 0)


def test_the_rate_holds_for_all_connections_together(fake):
    fake.admin("POST", "/objects", {"container": "c", "name": "big", "size": 4_000_000})
    fake.admin("POST", "/settings", {"rate_bytes": 10_000_000})
    import concurrent.futures
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        bodies = list(pool.map(lambda _: fake.get("/devstoreaccount1/c/big")[2], range(3)))
    assert [len(body) for body in bodies] == [4_000_000] * 3
    assert time.monotonic() - began >= 1.0, "12 MB at 10 MB/s, less a burst"


def test_pipelined_requests_are_answered_in_order(fake):
    with socket.create_connection(("127.0.0.1", fake.ports["azure_port"]), timeout=5) as raw:
        one = "GET /devstoreaccount1/c/n HTTP/1.1\r\nHost: h\r\nRange: bytes={0}-{0}\r\n\r\n"
        raw.sendall("".join(one.format(i) for i in range(200)).encode() +
                    b"GET /devstoreaccount1/c/absent HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: raw.recv(1 << 16), b""))
    heads = answers.split(b"HTTP/1.1 ")[1:]
    assert [head[:3] for head in heads] == [b"206"] * 200 + [b"404"]
    assert [head[-1:] for head in heads[:200]] == [BODY[i:i + 1] for i in range(200)]


def test_what_is_no_request_costs_one_connection(fake):
    for text, status in ((b"garbage\r\n\r\n", b"400"), (b"GET /" + b"a" * 70_000, b"431"),
                         (b"GET /%zz HTTP/1.1\r\n\r\n", b"400"),
                         (b"PUT /c/n HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
                         (b"PUT /c/n HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413")):
        with socket.create_connection(("127.0.0.1", fake.ports["s3_port"]), timeout=5) as raw:
            raw.sendall(text)
            assert b"".join(iter(lambda: receive(raw), b""))[9:12] == status, text[:20]
    assert fake.get()[0] == 200
    assert fake.stats()["malformed"] == 3


def test_idle_connections_are_closed(fake):
    fake.admin("POST", "/settings", {"idle_timeout_ms": 50})
    with socket.create_connection(("127.0.0.1", fake.ports["azure_port"]), timeout=5) as raw:
        assert raw.recv(1) == b""


def test_large_bodies_are_put_and_checked(fake, tmp_path):
    body = os.urandom(3_000_000)
    (tmp_path / "f").write_bytes(body)
    fake.s3.put("large", tmp_path / "f")
    assert fake.azure.get("large") == body
    with pytest.raises(put_tree.StoreError) as wrong:
        fake.azure.put("large", b"x", {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert wrong.value.code == "Md5Mismatch"
    with pytest.raises(put_tree.StoreError) as there:
        fake.azure.put("large", b"x", {"If-None-Match": "*"})
    assert there.value.code == "BlobAlreadyExists"


def test_bad_admin_requests_are_explained(fake):
    for method, path, body, word in (("POST", "/settings", {"latency": 1}, "latency"), ("POST", "/faults", {}, "action"),
                                     ("POST", "/objects", {"container": "c"}, "name"), ("GET", "/nothing", None, "endpoint"),
                                     ("POST", "/settings", {"rate_bytes": -1}, "whole number")):
        status, answer = fake.admin(method, path, body)
        assert status in (400, 404)
        assert word in answer["error"]


def test_a_tree_is_served_and_its_changes_are_versions(tmp_path):
    (tmp_path / "box" / "d").mkdir(parents=True)
    (tmp_path / "box" / "d" / "one").write_bytes(b"first")
    (tmp_path / "box" / "x%2F").write_bytes(b"slash")
    fake = Fake("--root", str(tmp_path), "--decode-names", "--anonymous")
    try:
        box = put_tree.open_store(f"az+{fake.ports['azure']}/box")
        assert list(box.list()) == [("d/one", 5), ("x/", 5)]
        _, headers, body = fake.get("/devstoreaccount1/box/d/one")
        assert body == b"first"
        (tmp_path / "new").write_bytes(b"second!")
        (tmp_path / "new").rename(tmp_path / "box" / "d" / "one")
        assert fake.get("/devstoreaccount1/box/d/one", {"If-Match": headers["ETag"]})[0] == 412
        assert box.get("d/one") == b"second!"
        (tmp_path / "box" / "later").write_bytes(b"")
        fake.admin("POST", "/rescan")
        assert ("later", 0) in list(box.list())
    finally:
        fake.process.terminate()
        assert fake.process.wait(10) == 0


def receive(raw):
    try:
        return raw.recv(1 << 16)
    except ConnectionResetError:  # it hadn't read all of what we sent
        return b""


def until(holds):
    for _ in range(200):
        if holds():
            return
        time.sleep(0.02)
    assert holds()
