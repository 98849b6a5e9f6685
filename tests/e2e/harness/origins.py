"""Object stores for tests: the project's own with faults on demand (tests/fake_origin), Azurite, and versitygw."""

import base64
import datetime
import hashlib
import hmac
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from .processes import until

# Published with Azurite: every emulator has this account and key.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
S3_KEY_ID, S3_KEY, S3_REGION = "forebay-test", "forebay-test-secret", "us-east-1"


def request(method, url, body=None, headers=None, seconds=30):
    """(status, headers, body) of an HTTP request, without proxies, whatever the status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    message = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with opener.open(message, timeout=seconds) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


class FakeOrigin:
    """tests/fake_origin as a process (its README has every option and endpoint). Options are its flags:
    FakeOrigin(..., root=DIR, latency_ms=15, rate_bytes=200_000_000, anonymous=True)."""

    def __init__(self, running, program, **options):
        arguments = []
        for key, value in options.items():
            flag = f"--{key.replace('_', '-')}"
            arguments += [flag] if value is True else [flag, str(value)]
        self.process = running.start("fake-origin", [program, *arguments])
        self.info = until("the fake origin says its ports", self._first_line, 30)

    def _first_line(self):
        if not self.process.alive():
            raise AssertionError(f"the fake origin ended:\n{self.process.tail()}")
        first, newline, _ = self.process.log.read_text(errors="replace").partition("\n")
        return json.loads(first) if newline else None

    def mount(self, dialect, container, prefix="", **more):
        """A [[mount]] table (docs/config.md) for a container; `dialect` is "azure" or "s3"."""
        path = f"{container}/{prefix}" if prefix else container
        common = {"endpoint": self.info[dialect], **more}
        if dialect == "azure":
            return {"url": f"az://{AZURITE_ACCOUNT}/{path}", "account_key": AZURITE_KEY, **common}
        return {
            "url": f"s3://{path}", "path_style": True, "region": S3_REGION,
            "access_key_id": S3_KEY_ID, "secret_access_key": S3_KEY, **common,
        }

    def identity(self, kind, directory):
        """The environment in which `forebay` reads as `kind` (issuer.h beside the program has them all): credentials
        that end, from the fake's own issuers. `directory` is for files."""
        issuer = self.info["issuer"]
        token_file = directory / "federated-token"
        token_file.write_text("forebay-assertion\n")
        config = directory / "aws-config"
        role = "arn:aws:iam::123456789012:role/forebay"
        config.write_text(
            f"[profile base]\naws_access_key_id = {S3_KEY_ID}\naws_secret_access_key = {S3_KEY}\n"
            f"[profile first]\nrole_arn = {role}\nsource_profile = base\n"
            f"[profile second]\nrole_arn = {role}/second\nsource_profile = first\nexternal_id = forebay-external\n"
            f"[profile instance]\nrole_arn = {role}\ncredential_source = Ec2InstanceMetadata\n"
        )
        aws = {
            "AWS_REGION": S3_REGION, "AWS_ENDPOINT_URL_STS": issuer, "AWS_CONFIG_FILE": str(config),
            "AWS_SHARED_CREDENTIALS_FILE": str(directory / "none"),
        }
        metadata = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": issuer}
        return {
            "workload": {
                "AZURE_CLIENT_ID": "forebay-client", "AZURE_TENANT_ID": "forebay-tenant",
                "AZURE_FEDERATED_TOKEN_FILE": str(token_file), "AZURE_AUTHORITY_HOST": issuer + "/",
            },
            "managed": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": issuer, "AZURE_CLIENT_ID": "forebay-client"},
            "app-service": {"IDENTITY_ENDPOINT": f"{issuer}/msi/token", "IDENTITY_HEADER": "forebay-header"},
            "web-identity": {**aws, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file), "AWS_ROLE_ARN": role},
            "instance": {**aws, **metadata},
            "container": {
                **aws, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{issuer}/container",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "forebay-container",
            },
            "role": {**aws, "AWS_PROFILE": "first"},
            "role-of-a-role": {**aws, "AWS_PROFILE": "second"},
            "role-of-the-instance": {**aws, **metadata, "AWS_PROFILE": "instance"},
        }[kind]

    def delegation_sas(self, container, seconds=3600):
        """A SAS for a container, signed with a user delegation key instead of the account's."""
        now = datetime.datetime.now(datetime.timezone.utc)
        at = lambda s: (now + datetime.timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: E731
        start, expiry, version = at(-60), at(seconds), "2025-11-05"
        key = self.admin("POST", "/delegation-key", {"start": start, "expiry": expiry, "version": version})
        query = {
            "sp": "rl", "st": start, "se": expiry, "skoid": key["oid"], "sktid": key["tid"], "skt": start,
            "ske": expiry, "sks": key["service"], "skv": version, "sv": version, "sr": "c",
        }
        lines = ["sp", "st", "se", None, "skoid", "sktid", "skt", "ske", "sks", "skv"] + [""] * 7 + ["sv", "sr"] + [""] * 9
        text = "\n".join(f"/blob/{AZURITE_ACCOUNT}/{container}" if k is None else query.get(k, "") for k in lines)
        mac = hmac.new(base64.b64decode(key["value"]), text.encode(), hashlib.sha256).digest()
        return urllib.parse.urlencode({**query, "sig": base64.b64encode(mac).decode()})

    def issuer(self, **settings):
        """Changes what is issued from now on (lifetime_s, max_uses, assertion, numbers_as_text); gives the counts."""
        return self.admin("POST", "/issuer", settings) if settings else self.admin("GET", "/issuer")

    def revoke(self):
        """Everything that was issued has ended."""
        self.admin("POST", "/issuer/revoke", {})

    def admin(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        status, _, answer = request(method, self.info["admin"] + path, data, {"Content-Type": "application/json"})
        assert status == 200, f"fake origin: {method} {path}: {status} {answer.decode(errors='replace')}"
        return json.loads(answer)

    def add(self, container, *objects):
        """Objects of known bytes: ("name", size) each. data.known_bytes(container, name, ...) are theirs."""
        self.admin("POST", "/containers", {"name": container})
        self.admin("POST", "/objects", [{"container": container, "name": n, "size": size} for n, size in objects])

    def change(self, container, name, size=None):
        """A writer elsewhere makes a new version."""
        body = {"container": container, "name": name}
        self.admin("POST", "/objects/change", body if size is None else {**body, "size": size})

    def delete(self, container, name):
        self.admin("POST", "/objects/delete", {"container": container, "name": name})

    def fault(self, kind, op="get", name="*", next=0, every=1, skip=0, **action):
        """The next requests that fit go wrong: fault("status", status=503, next=2), fault("cut", bytes=1000)."""
        rule = {"op": op, "name": name, "next": next, "every": every, "skip": skip, "action": {"type": kind, **action}}
        self.admin("POST", "/faults", rule)

    def heal(self):
        self.admin("DELETE", "/faults")

    def stats(self):
        return self.admin("GET", "/stats")

    def requests(self):
        return self.admin("GET", "/requests")

    def reset_stats(self):
        self.admin("POST", "/reset", {"stats": True, "faults": False, "settings": False})


class RealServer:
    """Azurite or versitygw, by scripts/real_servers.sh, which installs what is missing."""

    def __init__(self, running, script, kind, directory):
        self.kind, self.directory = kind, directory
        directory.mkdir(parents=True, exist_ok=True)
        running.at_end(self._stop)
        self._script = script
        done = subprocess.run([script, "start", kind, directory], capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, f"{script} start {kind}: {done.returncode}\n{done.stderr}"
        self.info = json.loads(done.stdout.strip().splitlines()[-1])
        self.endpoint = self.info["endpoint"]

    def _stop(self):
        done = subprocess.run([self._script, "stop", self.directory], capture_output=True, text=True, timeout=60)
        return f"stop {self.kind}: {done.stderr}" if done.returncode else None

    def environment(self):
        """What `forebay` needs to be let in."""
        if self.kind == "azurite":
            return {"AZURE_STORAGE_ACCOUNT": AZURITE_ACCOUNT, "AZURE_STORAGE_KEY": AZURITE_KEY}
        return {"AWS_ACCESS_KEY_ID": S3_KEY_ID, "AWS_SECRET_ACCESS_KEY": S3_KEY, "AWS_REGION": S3_REGION}

    def url(self, container, prefix=""):
        host = f"az://{AZURITE_ACCOUNT}/{container}" if self.kind == "azurite" else f"s3://{container}"
        return f"{host}/{prefix}" if prefix else host

    def make_container(self, name):
        status, _, body = self._send("PUT", f"/{name}", {"restype": "container"} if self.kind == "azurite" else {})
        assert status in (200, 201), f"make {name}: {status} {body.decode(errors='replace')}"

    def put(self, container, name, data):
        headers = {"x-ms-blob-type": "BlockBlob"} if self.kind == "azurite" else {}
        path = f"/{container}/{urllib.parse.quote(name)}"
        status, _, body = self._send("PUT", path, {}, data, headers)
        assert status in (200, 201), f"put {container}/{name}: {status} {body.decode(errors='replace')}"

    def delete(self, container, name):
        status, _, _ = self._send("DELETE", f"/{container}/{urllib.parse.quote(name)}")
        assert status in (200, 202, 204), f"delete {container}/{name}: {status}"

    def get(self, container, name):
        status, _, body = self._send("GET", f"/{container}/{urllib.parse.quote(name)}")
        assert status == 200, f"get {container}/{name}: {status}"
        return body

    def _send(self, method, path, query=None, body=None, headers=None):
        sign = sign_azure if self.kind == "azurite" else sign_s3
        signed = sign(method, self.endpoint, path, query or {}, body or b"", headers or {})
        text = f"?{urllib.parse.urlencode(sorted((query or {}).items()))}" if query else ""
        return request(method, f"{self.endpoint}{path}{text}", body if method == "PUT" else None, signed)


def sign_azure(method, endpoint, path, query, body, headers):
    """Headers with Shared Key, as "Authorize with Shared Key" of the Blob service's REST reference has it."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {**headers, "x-ms-date": now, "x-ms-version": "2021-12-02"}
    if method == "PUT":
        headers["Content-Type"] = "application/octet-stream"
    canonical_headers = "".join(f"{k}:{v}\n" for k, v in sorted(headers.items()) if k.startswith("x-ms-"))
    # The emulator's path names the account a second time.
    resource = f"/{AZURITE_ACCOUNT}{urllib.parse.urlsplit(endpoint).path}{path}"
    resource += "".join(f"\n{k}:{v}" for k, v in sorted(query.items()))
    length = str(len(body)) if method == "PUT" and body else ""
    content_type = headers.get("Content-Type", "")
    text = f"{method}\n\n\n{length}\n\n{content_type}\n\n\n\n\n\n\n{canonical_headers}{resource}"
    mac = hmac.new(base64.b64decode(AZURITE_KEY), text.encode(), hashlib.sha256).digest()
    return {**headers, "Authorization": f"SharedKey {AZURITE_ACCOUNT}:{base64.b64encode(mac).decode()}"}


def sign_s3(method, endpoint, path, query, body, headers):
    """Headers with AWS Signature Version 4."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    digest = hashlib.sha256(body if method == "PUT" else b"").hexdigest()
    host = urllib.parse.urlsplit(endpoint).netloc
    headers = {**headers, "host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    signed = ";".join(sorted(headers))
    canonical = "\n".join(
        [method, path, urllib.parse.urlencode(sorted(query.items()))]
        + [f"{k}:{headers[k]}" for k in sorted(headers)]
        + ["", signed, digest]
    )
    scope = f"{day}/{S3_REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{S3_KEY}".encode()
    for part in (day, S3_REGION, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={S3_KEY_ID}/{scope}, SignedHeaders={signed}, Signature={signature}"
    return {**headers, "Authorization": authorization}
