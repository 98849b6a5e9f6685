"""An origin that sends wrong bytes in the middle of a range, where it gives checksums: `origin_checksum = "range"`."""

import errno
import re

import pytest
from harness import data

MIB = 1 << 20
LARGE = 9 * MIB + 7
SMALL = 500_000
# Azure has a checksum of each range; S3 one of an object that is read in one go.
CASES = pytest.mark.parametrize(
    "dialect,size,kind",
    [("azure", LARGE, "MD5"), ("azure", SMALL, "MD5"), ("s3", SMALL, "MD5"), ("s3", SMALL, "SHA-256")],
)


class Checked:
    def __init__(self, make_cell, fake_origin, dialect, size, nodes=1, kind="MD5"):
        self.origin = fake_origin(**{"MD5": {"content_md5": True}, "SHA-256": {"checksum_sha256": True}}[kind])
        self.origin.add("data", ("o", size), ("other", size))
        self.size = size
        mount = {"name": "data", "origin_checksum": "range", **self.origin.mount(dialect, "data")}
        self.cell = make_cell(nodes=nodes, mounts=[mount])
        self.node = self.cell.nodes[0]
        self.mount = self.cell.mount("data")

    def read(self, name="o"):
        assert data.read_file(self.mount / name) == data.known_bytes("data", name, 0, self.size)

    def total(self, name):
        return self.cell.total(f"forebay_origin_{name}_total")


@CASES
def test_bytes_that_are_right_are_checked_and_cost_nothing_else(make_cell, fake_origin, dialect, size, kind):
    checked = Checked(make_cell, fake_origin, dialect, size, kind=kind)
    checked.read()
    assert checked.total("checked_bytes") == checked.total("bytes") == size
    assert checked.total("bad_checksums") == checked.total("retries") == checked.total("errors") == 0
    lengths = [r["length"] for r in checked.origin.requests() if r["op"] == "get"]
    assert sum(lengths) == size
    assert dialect == "s3" or max(lengths) <= 4 * MIB


@CASES
def test_wrong_bytes_in_the_middle_of_a_range_are_asked_for_again_and_never_seen(
    make_cell, fake_origin, dialect, size, kind
):
    checked = Checked(make_cell, fake_origin, dialect, size, kind=kind)
    checked.origin.fault("corrupt", bytes=100_000, name="data/o", next=2)
    checked.read()
    assert checked.total("bad_checksums") == 2 and checked.total("errors") == 0
    assert checked.origin.stats()["faults"] == 2


@CASES
def test_an_origin_that_stays_wrong_is_an_error_that_says_so_and_nothing_is_kept(
    make_cell, fake_origin, dialect, size, kind
):
    checked = Checked(make_cell, fake_origin, dialect, size, kind=kind)
    checked.origin.fault("corrupt", bytes=3, name="data/o")
    with pytest.raises(OSError) as error:
        checked.read()
    assert error.value.errno == errno.EIO
    done = checked.node.cli("cat", "data/o", check=False)
    message = done.stderr.decode()
    assert done.returncode == 6 and done.stdout == b""
    assert f"wrong bytes: the origin says that their {kind} is" in message and re.search(r": bytes \d+-\d+: ", message)
    checked.read("other")
    (where,) = checked.node.json("where", "data/o")
    assert all(chunk["holders"] == [] for chunk in where["chunks"]), "wrong bytes are cached"
    checked.origin.heal()
    checked.read()


def test_a_connection_cut_in_the_middle_of_a_checked_range_is_not_seen_by_the_reader(make_cell, fake_origin):
    checked = Checked(make_cell, fake_origin, "azure", LARGE)
    checked.origin.fault("cut", bytes=1_000_000, name="data/o", next=2)
    checked.read()
    assert checked.total("bad_checksums") == 0 and checked.total("retries") == 2


def test_every_node_of_a_cell_checks_what_it_fills(make_cell, fake_origin):
    checked = Checked(make_cell, fake_origin, "azure", LARGE, nodes=3)
    checked.origin.fault("corrupt", bytes=70_000, every=2)
    checked.read()
    assert checked.total("bad_checksums") >= 1


def test_an_object_without_a_checksum_of_its_whole_is_read_and_counted_as_unchecked(make_cell, fake_origin):
    origin = fake_origin()  # ETags as of objects that were put in parts
    origin.add("data", ("o", SMALL))
    mount = {"name": "data", "origin_checksum": "range", **origin.mount("s3", "data")}
    cell = make_cell(mounts=[mount])
    assert data.read_file(cell.mount("data") / "o") == data.known_bytes("data", "o", 0, SMALL)
    assert cell.total("forebay_origin_checked_bytes_total") == 0


def test_small_objects_that_are_opened_by_their_first_range_are_checked_too(make_cell, fake_origin):
    checked = Checked(make_cell, fake_origin, "azure", SMALL)
    checked.origin.fault("corrupt", bytes=1000, name="data/o", next=1)
    checked.node.cli("load", "data")
    assert checked.total("bad_checksums") == 1
    checked.read()
    checked.read("other")
    assert checked.total("checked_bytes") == 2 * SMALL
