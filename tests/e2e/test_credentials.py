"""Credentials that are issued, end, and are renewed: the reader notices none of it, and refusals are said at mount."""

import subprocess

import pytest
from harness import data
from harness.origins import AZURITE_ACCOUNT

MIB = 1 << 20
SIZE = 3 * MIB + 5
AZURE = ["workload", "managed", "app-service"]
S3 = ["web-identity", "instance", "container", "role", "role-of-a-role", "role-of-the-instance"]
ISSUERS = {
    "workload": "entra", "managed": "imds", "app-service": "app-service", "web-identity": "sts",
    "instance": "instance", "container": "container", "role": "sts", "role-of-a-role": "sts",
    "role-of-the-instance": "sts",
}


def url_of(kind):
    return f"az://{AZURITE_ACCOUNT}/data" if kind in AZURE else "s3://data"


class Reader:
    """A mount by URL whose credentials are issued by the fake origin's issuers."""

    def __init__(self, mount_url, fake_origin, directory, kind, **issued):
        self.kind, self.origin = kind, fake_origin()
        self.origin.add("data", *[(f"o{i}", SIZE) for i in range(6)])
        self.origin.issuer(**issued)
        endpoint = self.origin.info["azure" if kind in AZURE else "s3"]
        self.mount = mount_url(
            url_of(kind), self.origin.identity(kind, directory),
            ["--endpoint", endpoint, "--chunk-size", "1MiB"],
        )

    def read(self, name):
        assert data.read_file(self.mount / name) == data.known_bytes("data", name, 0, SIZE)

    def issued(self):
        return self.origin.issuer()["issued"].get(ISSUERS[self.kind], 0)

    def log(self):
        return self.mount.process.log.read_text(errors="replace")


@pytest.mark.parametrize("kind", AZURE + S3)
def test_every_kind_of_identity_reads(mount_url, fake_origin, tmp_path, kind):
    reader = Reader(mount_url, fake_origin, tmp_path, kind)
    reader.read("o0")
    assert reader.issued() == (2 if kind == "role-of-a-role" else 1), "one credential serves all requests"
    assert reader.origin.stats()["auth_failures"] == 0
    for secret in ("forebay-assertion", "forebay-header", "forebay-container", "bearer."):
        assert secret not in reader.log()


@pytest.mark.parametrize("kind", ["workload", "web-identity", "instance", "role-of-a-role"])
def test_a_token_that_ends_in_the_middle_of_a_read_is_not_seen_by_the_reader(mount_url, fake_origin, tmp_path, kind):
    reader = Reader(mount_url, fake_origin, tmp_path, kind)
    reader.read("o0")
    before = reader.issued()
    with open(reader.mount / "o1", "rb") as file:
        assert file.read(100) == data.known_bytes("data", "o1", 0, 100)
        reader.origin.revoke()
        assert file.read() == data.known_bytes("data", "o1", 100, SIZE - 100)
    reader.read("o2")
    assert reader.origin.stats()["auth_failures"] > 0, "the store has refused something"
    assert reader.issued() - before == (2 if kind == "role-of-a-role" else 1), "renewed once, however many asked"


@pytest.mark.parametrize("kind", ["managed", "container"])
def test_tokens_that_live_for_seconds_are_renewed_ahead_of_their_end(mount_url, fake_origin, tmp_path, kind):
    reader = Reader(mount_url, fake_origin, tmp_path, kind, lifetime_s=6)
    for i in range(6):
        reader.read(f"o{i}")
        subprocess.run(["sleep", "1.5"], check=True)  # lives, not waits: three of them pass
    assert reader.issued() >= 2
    assert reader.origin.stats()["auth_failures"] == 0, "none was used after its end"


def test_a_federated_token_that_was_rotated_is_read_anew(mount_url, fake_origin, tmp_path):
    reader = Reader(mount_url, fake_origin, tmp_path, "workload")
    reader.read("o0")
    reader.origin.issuer(assertion="another-assertion")
    (tmp_path / "federated-token").write_text("another-assertion")
    reader.origin.revoke()
    reader.read("o1")
    assert reader.issued() == 2


def test_a_sas_that_is_signed_with_a_user_delegation_key_reads(mount_url, fake_origin):
    origin = fake_origin()
    origin.add("data", ("o0", SIZE))
    mount = mount_url(
        f"az://{AZURITE_ACCOUNT}/data", {"AZURE_STORAGE_SAS_TOKEN": origin.delegation_sas("data")},
        ["--endpoint", origin.info["azure"]],
    )
    assert data.read_file(mount / "o0") == data.known_bytes("data", "o0", 0, SIZE)


@pytest.mark.parametrize("kind,said", [("workload", "AADSTS70021"), ("web-identity", "InvalidIdentityToken")])
def test_a_refused_token_endpoint_is_a_clear_error_at_mount(program, fake_origin, tmp_path, kind, said):
    origin = fake_origin()
    origin.add("data", ("o0", 10))
    origin.issuer(assertion="what-nobody-has")
    directory = tmp_path / "mnt"
    directory.mkdir()
    endpoint = origin.info["azure" if kind in AZURE else "s3"]
    done = subprocess.run(
        [program, "mount", url_of(kind), directory, "--foreground", "--memory", "256MiB", "--endpoint", endpoint],
        env={"PATH": "/usr/bin:/bin", "FOREBAY_NODE_RUN_DIR": str(tmp_path / "run"), **origin.identity(kind, tmp_path)},
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode != 0
    for part in (kind.replace("-", " ").split()[0], origin.info["issuer"], "answers 400", said, "Check that"):
        assert part in done.stderr, done.stderr
    assert "forebay-assertion" not in done.stderr + done.stdout, "the issuer quotes what it was shown; we don't"
