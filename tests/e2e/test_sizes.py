"""Objects of the sizes at which something could go wrong, from every kind of origin."""

import random

import pytest
from harness import data

MIB = 1 << 20
# Beyond what the node may keep, so that reading on means that something has to leave.
SEQUENTIAL_BYTES = 320 * MIB
HUGE = 20_000_000_000


class Place:
    """A kind of origin that holds objects of known bytes, and the mount's table that reads it."""

    def __init__(self, kind, objects, fake_origin, tmp_path):
        if kind == "file":
            for name, size in objects:
                data.make_file(tmp_path / "source" / name, size)
            self.mount = {"url": f"file://{tmp_path / 'source'}"}
        else:
            origin = fake_origin()
            origin.add("data", *objects)
            self.mount = origin.mount(kind, "data")


@pytest.mark.parametrize("chunk", [MIB, 8 * MIB], ids=["1MiB", "8MiB"])
@pytest.mark.parametrize("kind", ["file", "azure", "s3"])
def test_objects_around_a_chunks_size_are_read_to_their_end(make_cell, fake_origin, tmp_path, kind, chunk):
    sizes = [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk]
    place = Place(kind, [(f"o{size}", size) for size in sizes], fake_origin, tmp_path)
    cell = make_cell(mounts=[{"name": "data", "chunk_size": f"{chunk // MIB}MiB", **place.mount}])
    mount = cell.mount("data")

    assert sorted(p.name for p in mount.directory.iterdir()) == sorted(f"o{size}" for size in sizes)
    for size in sizes:
        path, known = mount / f"o{size}", data.known_bytes("data", f"o{size}", 0, size)
        assert path.stat().st_size == size
        assert data.read_file(path, max(0, chunk - 5), 10) == known[max(0, chunk - 5) : chunk + 5], "across the border"
        assert data.read_file(path) == known
        assert data.read_file(path, size, 10) == b"", "the end is the end"
        assert cell.nodes[0].cli("cat", f"data/o{size}").stdout == known


def assert_within_cap(node):
    memory = node.memory()
    assert memory["arena_used"] <= memory["arena_cap"] <= memory["cap"]
    assert memory["used"] <= memory["cap"] + memory["sanitizer"], memory


def test_20_gb_are_read_at_random_and_in_order(make_cell, fake_origin):
    origin = fake_origin()
    origin.add("data", ("huge", HUGE))
    cell = make_cell(mounts=[{"name": "data", **origin.mount("azure", "data")}], node={"memory": "256MiB"})
    path = cell.mount("data") / "huge"
    assert path.stat().st_size == HUGE

    rng = random.Random(20)
    offsets = [0, HUGE - 1, HUGE - 4096, (1 << 32) - 100, (1 << 34) - 100]
    offsets += [rng.randrange(HUGE) for _ in range(60)]
    with open(path, "rb", buffering=0) as file:
        for offset in offsets:
            length = min(rng.choice([1, 100, 4096, 70_000]), HUGE - offset)
            file.seek(offset)
            assert file.read(length) == data.known_bytes("data", "huge", offset, length), f"at {offset}"
        start = 7 * MIB + 123
        file.seek(start)
        for offset in range(start, start + SEQUENTIAL_BYTES, 4 * MIB):
            assert file.read(4 * MIB) == data.known_bytes("data", "huge", offset, 4 * MIB), f"at {offset}"
    assert_within_cap(cell.nodes[0])


def test_a_sparse_file_of_20_gb_is_read_where_it_has_bytes_and_where_it_has_none(make_cell, tmp_path):
    source = data.make_sparse_file(tmp_path / "source" / "sparse", HUGE)
    cell = make_cell(mounts=[{"name": "data", "url": f"file://{source.parent}"}], node={"memory": "128MiB"})
    path = cell.mount("data") / "sparse"
    assert path.stat().st_size == HUGE
    for mark in data.sparse_marks(HUGE):
        assert data.read_file(path, mark, 4096) == data.known_bytes("sparse", "sparse", mark, 4096)
    assert data.read_file(path, HUGE // 3, 100_000) == bytes(100_000)
    assert_within_cap(cell.nodes[0])


def test_more_data_than_all_arenas_hold_is_read_right_within_the_cap(make_cell, fake_origin):
    """A full arena: three nodes of 128 MiB read 400 MiB twice."""
    objects = [(f"shard-{i}", 50 * MIB) for i in range(8)]
    origin = fake_origin()
    origin.add("data", *objects)
    cell = make_cell(nodes=3, mounts=[{"name": "data", **origin.mount("s3", "data")}], node={"memory": "128MiB"})
    mounts = [cell.mount("data", node=i) for i in range(3)]
    for round_ in range(2):
        for index, (name, size) in enumerate(objects):
            path = mounts[(index + round_) % 3] / name
            with open(path, "rb", buffering=0) as file:
                for offset in range(0, size, 4 * MIB):
                    length = min(4 * MIB, size - offset)
                    assert file.read(length) == data.known_bytes("data", name, offset, length), f"{name} at {offset}"
    assert sum(node.memory()["arena_cap"] for node in cell.nodes) < 400 * MIB, "the arenas were never full"
    for node in cell.nodes:
        assert_within_cap(node)
