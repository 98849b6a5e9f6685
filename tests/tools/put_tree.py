#!/usr/bin/env python3
"""Puts directory trees and single objects into an Azure container or an S3 bucket. Standard library alone.

    put_tree.py put URL DIRECTORY            every file below DIRECTORY, in parallel; creates the container
    put_tree.py put URL --one NAME FILE      one object under any name ("a//b", "..", "x/"); overwrites
    put_tree.py delete URL NAME...           deletes objects
    put_tree.py list URL                     names and sizes, one a line, as JSON
    put_tree.py check URL DIRECTORY          gets everything back and compares it; exit code 1 if anything differs

URL is az+http://HOST:PORT/ACCOUNT/CONTAINER[/PREFIX] or s3+http://HOST:PORT/BUCKET[/PREFIX]. Credentials come from
AZURE_STORAGE_KEY (by default the emulators' published one), AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION.

From Python:

    store = open_store("az+http://127.0.0.1:10000/devstoreaccount1/data")
    store.create_container()
    put_tree(store, "some/directory")
    store.put("odd//name", b"bytes")

A Store may be used from several threads: each has a connection of its own, kept alive between requests.
"""

import argparse
import base64
import concurrent.futures
import datetime
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import sys
import threading
import urllib.parse
import xml.etree.ElementTree

EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# Bodies up to this size have their SHA-256 in the signature; larger ones are sent without, to read them once only.
SIGNED_BODY_BYTES = 64 << 20


class StoreError(Exception):
    """An answer that is no success. `status` is HTTP's; `code` is the store's own word, where it gave one."""

    def __init__(self, what, status, code, text):
        super().__init__(f"{what}: {status} {code} {text[:300]}".rstrip())
        self.status = status
        self.code = code


class Store:
    """One container or bucket, and a prefix in it. Subclasses know how to sign and how to list."""

    attempts = 4  # of a request that failed in a way that may pass

    def __init__(self, host, port, base, container, prefix):
        self.host, self.port, self.base = host, port, base
        self.container, self.prefix = container, prefix
        self._local = threading.local()

    # What subclasses provide.
    def sign(self, method, path, query, headers, body_hash):
        raise NotImplementedError

    def list_page(self, prefix, marker):
        """One page: ([(name, size)], next marker or "")."""
        raise NotImplementedError

    container_query: dict = {}
    list_query: dict = {}
    put_headers: dict = {}
    container_exists = ()

    # What callers use. Names are relative to the prefix.
    def create_container(self):
        try:
            self.request("PUT", "", self.container_query)
        except StoreError as error:
            if error.code not in self.container_exists:
                raise

    def put(self, name, body, headers=None):
        """`body` is bytes or the path of a file. Returns the ETag."""
        answer_headers, _ = self.request("PUT", self.prefix + name, {}, {**self.put_headers, **(headers or {})}, body)
        return answer_headers.get("etag", "")

    def get(self, name, headers=None):
        return self.request("GET", self.prefix + name, {}, headers or {})[1]

    def delete(self, name):
        self.request("DELETE", self.prefix + name, {})

    def list(self, prefix=""):
        """Yields (name, size) of everything below the prefix, in the store's order."""
        marker = ""
        while True:
            entries, marker = self.list_page(self.prefix + prefix, marker)
            for name, size in entries:
                yield name[len(self.prefix):], size
            if not marker:
                return

    def request(self, method, name, query, headers=None, body=b""):
        """Sends one signed request; (headers in lower case, body) of a 2xx, StoreError else. Retries what may pass."""
        path = self.base + "/" + urllib.parse.quote(self.container)
        if name:
            path += "/" + urllib.parse.quote(name, safe="/~")
        last = None
        for _ in range(self.attempts):
            try:
                answer, text = self._once(method, path, query, dict(headers or {}), body)
            except (OSError, http.client.HTTPException) as error:  # a pooled connection may be dead
                self._drop()
                last = error
                continue
            if answer.status < 300:
                return {key.lower(): value for key, value in answer.getheaders()}, text
            last = StoreError(f"{method} {path}", answer.status, self._code(answer, text), text.decode("utf-8", "replace"))
            if answer.status not in (429, 500, 503):
                break
        raise last

    def _once(self, method, path, query, headers, body):
        is_file = isinstance(body, (str, os.PathLike))
        size = os.path.getsize(body) if is_file else len(body)
        headers["Host"] = f"{self.host}:{self.port}"
        if method == "PUT":
            headers["Content-Length"] = str(size)
        headers = self.sign(method, path, query, headers, body_hash(body, is_file, size))
        target = path + ("?" + encode_query(query) if query else "")
        connection = self._connection()
        if not is_file:
            connection.request(method, target, body=body if method == "PUT" else None, headers=headers)
        else:
            with open(body, "rb") as file:
                connection.request(method, target, body=file, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()

    def _connection(self):
        if getattr(self._local, "connection", None) is None:
            self._local.connection = http.client.HTTPConnection(self.host, self.port, timeout=120, blocksize=1 << 20)
        return self._local.connection

    def _drop(self):
        if getattr(self._local, "connection", None) is not None:
            self._local.connection.close()
            self._local.connection = None

    @staticmethod
    def _code(answer, text):
        code = answer.getheader("x-ms-error-code")
        if code or not text:
            return code or ""
        try:
            return xml.etree.ElementTree.fromstring(text).findtext("Code") or ""
        except xml.etree.ElementTree.ParseError:
            return ""


def body_hash(body, is_file, size):
    if not is_file:
        return hashlib.sha256(body).hexdigest()
    if size > SIGNED_BODY_BYTES:
        return "UNSIGNED-PAYLOAD"
    with open(body, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encode_query(query):
    return "&".join(f"{quoted(key)}={quoted(value)}" for key, value in sorted(query.items()))


def quoted(text):
    return urllib.parse.quote(text, safe="~")


class AzureStore(Store):
    container_query = {"restype": "container"}
    put_headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
    container_exists = ("ContainerAlreadyExists",)
    # In the order in which Shared Key signs them.
    SIGNED = ("Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date",
              "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range")

    def __init__(self, host, port, account, container, prefix, key):
        super().__init__(host, port, "/" + account, container, prefix)
        self.account = account
        self.key = base64.b64decode(key)

    def sign(self, method, path, query, headers, _body_hash):
        now = datetime.datetime.now(datetime.timezone.utc)
        headers["x-ms-date"] = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers["x-ms-version"] = "2025-11-05"
        values = [headers.get(name, "") for name in self.SIGNED]
        if values[2] == "0":
            values[2] = ""
        lines = [method, *values]
        lines += [f"{name.lower()}:{headers[name]}" for name in sorted(headers, key=str.lower)
                  if name.lower().startswith("x-ms-")]
        lines.append(f"/{self.account}{path}")
        lines += [f"{key.lower()}:{query[key]}" for key in sorted(query)]
        digest = hmac.digest(self.key, "\n".join(lines).encode(), "sha256")
        headers["Authorization"] = f"SharedKey {self.account}:{base64.b64encode(digest).decode()}"
        return headers

    def list_page(self, prefix, marker):
        query = {"restype": "container", "comp": "list", "prefix": prefix}
        if marker:
            query["marker"] = marker
        root = xml.etree.ElementTree.fromstring(self.request("GET", "", query)[1].decode("utf-8-sig"))
        entries = []
        for blob in root.iter("Blob"):
            element = blob.find("Name")
            name = element.text or ""
            if element.get("Encoded") == "true":
                name = urllib.parse.unquote(name)
            entries.append((name, int(blob.findtext("Properties/Content-Length"))))
        return entries, root.findtext("NextMarker") or ""


class S3Store(Store):
    container_exists = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")

    def __init__(self, host, port, container, prefix, access_key, secret_key, region):
        super().__init__(host, port, "", container, prefix)
        self.access_key, self.secret_key, self.region = access_key, secret_key, region

    def sign(self, method, path, query, headers, payload):
        now = datetime.datetime.now(datetime.timezone.utc)
        date, stamp = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = payload
        lower = {name.lower(): value for name, value in headers.items()}
        signed = ";".join(sorted(lower))
        canonical = "\n".join([method, path, encode_query(query),
                               *(f"{name}:{lower[name]}" for name in sorted(lower)), "", signed, payload])
        scope = f"{date}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret_key).encode()
        for part in (date, self.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        headers["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={signed}, "
                                    f"Signature={signature}")
        return headers

    def list_page(self, prefix, marker):
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        if marker:
            query["continuation-token"] = marker
        root = xml.etree.ElementTree.fromstring(self.request("GET", "", query)[1])
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]  # with or without S3's namespace
        encoded = root.findtext("EncodingType") == "url"
        decode = urllib.parse.unquote_plus if encoded else str
        entries = [(decode(item.findtext("Key")), int(item.findtext("Size"))) for item in root.iter("Contents")]
        more = root.findtext("IsTruncated") == "true"
        return entries, (root.findtext("NextContinuationToken") or "") if more else ""


def open_store(url, environment=os.environ):
    """The Store that a URL names; see the top of this file."""
    parts = urllib.parse.urlsplit(url)
    pieces = [urllib.parse.unquote(piece) for piece in parts.path.lstrip("/").split("/")]
    kind = parts.scheme.partition("+")[0]
    needed = {"az": 2, "s3": 1}.get(kind)
    if needed is None or not parts.scheme.endswith("+http") or not parts.port or not all(pieces[:needed]) \
            or len(pieces) < needed:
        raise ValueError(f"{url}: want az+http://HOST:PORT/ACCOUNT/CONTAINER or s3+http://HOST:PORT/BUCKET")
    prefix = "/".join(pieces[needed:])
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    if kind == "az":
        return AzureStore(parts.hostname, parts.port, pieces[0], pieces[1], prefix,
                          environment.get("AZURE_STORAGE_KEY", EMULATOR_KEY))
    return S3Store(parts.hostname, parts.port, pieces[0], prefix,
                   environment.get("AWS_ACCESS_KEY_ID", "forebay-test"),
                   environment.get("AWS_SECRET_ACCESS_KEY", "forebay-test-secret"),
                   environment.get("AWS_REGION", "us-east-1"))


def files_below(directory):
    """(object name, path, size) of every file, sorted; symbolic links are not followed."""
    root = pathlib.Path(directory)
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(root).as_posix(), path, path.stat().st_size


def _all(work, items, threads):
    """Runs work(*item) for all items in parallel; the first failure ends it and is raised."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, *item) for item in items]
        try:
            return [future.result() for future in concurrent.futures.as_completed(futures)]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def put_tree(store, directory, threads=8):
    """Uploads every file below `directory` under its relative path. Returns (objects, bytes)."""
    store.create_container()
    files = list(files_below(directory))
    _all(lambda name, path, size: store.put(name, path if size > 1 << 20 else path.read_bytes()), files, threads)
    return len(files), sum(size for _, _, size in files)


def check_tree(store, directory, threads=8):
    """Lists and gets everything back. Returns what differs, as sentences; nothing is good."""
    here = {name: (path, size) for name, path, size in files_below(directory)}
    there = dict(store.list())
    wrong = [f"{name}: is missing in the store" for name in here.keys() - there.keys()]
    wrong += [f"{name}: is in the store alone" for name in there.keys() - here.keys()]
    both = here.keys() & there.keys()
    wrong += [f"{name}: {there[name]} bytes listed, {here[name][1]} here" for name in both
              if there[name] != here[name][1]]
    same = _all(lambda name: (name, store.get(name) == here[name][0].read_bytes()), [(name,) for name in both], threads)
    return sorted(wrong + [f"{name}: other bytes" for name, equal in same if not equal])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("put", "delete", "list", "check"))
    parser.add_argument("url")
    parser.add_argument("rest", nargs="*", metavar="DIRECTORY|NAME")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "FILE"), help="put this file alone, under this name")
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args(arguments)
    try:
        store = open_store(options.url)
        return run(options, parser, store)
    except (OSError, ValueError, StoreError, http.client.HTTPException) as error:
        print(f"put_tree: {error}", file=sys.stderr)
        return 1


def run(options, parser, store):
    if options.verb == "put" and options.one:
        store.create_container()
        print(json.dumps({"name": options.one[0], "etag": store.put(options.one[0], options.one[1])}))
    elif options.verb == "list":
        for name, size in store.list():
            print(json.dumps({"name": name, "size": size}))
    elif options.verb == "delete":
        for name in options.rest:
            store.delete(name)
    elif len(options.rest) != 1:
        parser.error(f"{options.verb} wants one directory")
    elif options.verb == "put":
        objects, size = put_tree(store, options.rest[0], options.threads)
        print(json.dumps({"objects": objects, "bytes": size}))
    else:
        wrong = check_tree(store, options.rest[0], options.threads)
        print("\n".join(wrong) if wrong else "equal")
        return 1 if wrong else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
