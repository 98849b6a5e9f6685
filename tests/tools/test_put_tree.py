"""put_tree.py against Azurite, versitygw and the fake origin: what is put is listed and comes back equal.

FOREBAY_BIN names the directory of the programs, as for the end-to-end tests.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import uuid

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
import put_tree  # noqa: E402

STORES = ("azurite", "versitygw", "fake-azure", "fake-s3")
# Names that a directory tree can't hold, or that break careless encoding.
ODD_NAMES = ["x/", "a//b", "a", "a/b", "%41", "a+b c", "ü/ö?#&=", "~(1)!*'", "n" * 1024]


@pytest.fixture(scope="module")
def fake():
    program = pathlib.Path(os.environ.get("FOREBAY_BIN", ROOT / "build" / "dev" / "bin")) / "forebay_fake_origin"
    if not program.is_file():
        pytest.fail(f"{program} is not there: build it, or set FOREBAY_BIN", pytrace=False)
    process = subprocess.Popen([program, "--die-with-parent"], stdout=subprocess.PIPE)
    yield json.loads(process.stdout.readline())
    process.terminate()
    assert process.wait(10) == 0


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """real("azurite"): its endpoint; started once."""
    script, endpoints, directories = ROOT / "scripts" / "real_servers.sh", {}, []

    def start(kind):
        if kind not in endpoints:
            directory = tmp_path_factory.mktemp(kind)
            done = subprocess.run([script, "start", kind, directory], stdout=subprocess.PIPE, check=True, timeout=900)
            directories.append(directory)
            endpoints[kind] = json.loads(done.stdout)["endpoint"]
        return endpoints[kind]

    yield start
    for directory in directories:
        subprocess.run([script, "stop", directory], check=True, timeout=60)


@pytest.fixture(params=STORES)
def store(request):
    kind, container = request.param, "c" + uuid.uuid4().hex[:12]
    if kind.startswith("fake"):
        ports = request.getfixturevalue("fake")
        base = f"az+{ports['azure']}" if kind == "fake-azure" else f"s3+{ports['s3']}"
    else:
        base = ("az+" if kind == "azurite" else "s3+") + request.getfixturevalue("real")(kind)
    opened = put_tree.open_store(f"{base}/{container}")
    opened.kind = kind
    return opened


def make_tree(directory, files):
    chance = random.Random(files)
    for i in range(files):
        path = directory / f"dir {i % 7}" / f"sub+{i % 13}" / f"f%{i}~ü&.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(3_000_000 if i == 0 else chance.choice((0, 1, 100, 4096, 65536))))


def test_a_tree_of_1000_files_comes_back_equal(store, tmp_path):
    make_tree(tmp_path, 1000)
    objects, size = put_tree.put_tree(store, tmp_path)
    assert objects == 1000
    assert size == sum(path.stat().st_size for path in tmp_path.rglob("*.bin"))
    assert put_tree.check_tree(store, tmp_path) == []


def test_differences_are_found(store, tmp_path):
    make_tree(tmp_path, 5)
    put_tree.put_tree(store, tmp_path)
    names = [name for name, _, _ in put_tree.files_below(tmp_path)]
    store.delete(names[0])
    store.put(names[1], b"other")
    store.put("more", b"")
    wrong = put_tree.check_tree(store, tmp_path)
    assert any("missing" in line and names[0] in line for line in wrong)
    assert any(names[1] in line for line in wrong)
    assert any("more" in line and "alone" in line for line in wrong)


def test_odd_names_are_kept_as_they_are(store):
    names = list(ODD_NAMES)
    if store.kind == "versitygw":  # keeps objects as files: no file has these names
        names = [name for name in names if name not in ("x/", "a//b", "a", "n" * 1024)]
    store.create_container()
    for name in names:
        store.put(name, name.encode())
    assert {name: store.get(name).decode() for name in names} == {name: name for name in names}
    assert sorted(store.list()) == sorted((name, len(name.encode())) for name in names)


def test_an_overwrite_is_a_new_version_and_a_deleted_object_is_gone(store):
    store.create_container()
    first = store.put("n", b"one")
    second = store.put("n", b"two!")
    assert first and second and first != second
    assert store.get("n") == b"two!"
    store.delete("n")
    with pytest.raises(put_tree.StoreError) as gone:
        store.get("n")
    assert gone.value.status == 404


def test_a_wrong_key_is_refused(store):
    store.create_container()
    if isinstance(store, put_tree.AzureStore):
        store.key = b"wrong"
    else:
        store.secret_key = "wrong"
    with pytest.raises(put_tree.StoreError) as refused:
        list(store.list())
    assert refused.value.status == 403
