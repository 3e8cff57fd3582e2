import contextlib
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file

from probing_core.errors import UserError
from probing_core.store import _BLANK, Key, Store, sealed

ARRAYS = hnp.arrays(
    dtype=st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8]),
    shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@settings(max_examples=60, deadline=None)
@given(arrays=st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), ARRAYS, min_size=1))
def test_arrays_come_back_as_they_went_in(tmp_path_factory, arrays):
    store, key = Store(tmp_path_factory.mktemp("s")), Key.of("activations", "any", n=1)
    store.write_arrays(key, arrays, {"seconds": 1.5})
    back, meta = store.read_arrays(key)
    assert meta == {"seconds": 1.5} and set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype


@given(
    first=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    second=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
def test_keys_are_equal_only_when_all_fields_are(first, second):
    keys = [Key.of("rows", "label", fields=fields) for fields in (first, second)]
    assert (keys[0].digest == keys[1].digest) == (first == second)


def test_order_of_fields_does_not_matter():
    assert Key.of("rows", "x", a=1, b=2).digest == Key.of("rows", "x", b=2, a=1).digest


@given(label=st.text(max_size=200))
def test_any_label_makes_a_safe_file_name(label):
    name = Key.of("rows", label, n=1).name
    assert "/" not in name and "\0" not in name and len(name) < 120


def test_missing_is_none(store):
    key = Key.of("activations", "missing", n=1)
    assert store.read_arrays(key) is None
    assert store.read_rows(key) is None
    assert store.read_json(key) is None
    assert store.read_folder(key) is None


TABLE = pa.table({"method": ["knn", "pca", "knn"] * 50, "test_auc": np.linspace(0, 1, 150)})
KINDS = ("arrays", "rows", "json", "folder")


def write(store, key, kind):
    """Write a value of a kind; its file (for a folder, its files)."""
    if kind == "arrays":
        return [store.write_arrays(key, {"x": np.arange(60.0), "label": np.arange(9)}, {"s": 1.5})]
    if kind == "rows":
        return [store.write_rows(key, TABLE)]
    if kind == "json":
        return [store.write_json(key, {"gate": {"l0": 16.0, "hook": "blocks.3"}})]
    fill = {"cfg.json": b"{}", "sae_weights.safetensors": bytes(range(200))}
    folder = store.write_folder(
        key, lambda draft: [(draft / name).write_bytes(data) for name, data in fill.items()]
    )
    return sorted(folder.iterdir())


def read(store, key, kind):
    """What a reader sees, as a value that compares."""
    if kind == "arrays":
        found = store.read_arrays(key)
        return found and ({n: a.tobytes() for n, a in found[0].items()}, found[1])
    if kind == "folder":
        found = store.read_folder(key)
        return found and {path.name: path.read_bytes() for path in found.iterdir()}
    return store.read_rows(key) if kind == "rows" else store.read_json(key)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_damage_anywhere_in_a_file_is_noticed_and_named(tmp_path_factory, caplog, kind, data):
    store, key = Store(tmp_path_factory.getbasetemp() / f"{kind}-damage"), Key.of("any", kind, n=1)
    path = data.draw(st.sampled_from(write(store, key, kind)))
    before, content = read(store, key, kind), bytearray(path.read_bytes())
    assert before is not None
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    path.write_bytes(content)
    caplog.clear()
    assert read(store, key, kind) is None
    assert f"Damaged file {path}: removed, it will be rebuilt" in caplog.text
    assert not path.exists() and not store.path(key).exists()
    write(store, key, kind)
    assert read(store, key, kind) == before


def test_folder_that_another_process_has_stored_meanwhile_is_kept(store):
    key = Key.of("saes", "sae", n=1)

    def fill(draft):
        kept.extend(write(store, key, "folder"))
        (draft / "cfg.json").write_text("later")

    kept = []
    store.write_folder(key, fill)
    assert read(store, key, "folder")["cfg.json"] == b"{}"
    assert sorted(store.path(key).parent.glob("*/*")) == kept


def test_file_that_a_folder_lacks_is_noticed(store):
    key = Key.of("saes", "sae", n=1)
    write(store, key, "folder")[0].unlink()
    assert store.read_folder(key) is None and not store.path(key).exists()


def test_other_programs_open_arrays_rows_and_documents(store):
    paths = [write(store, Key.of("any", kind, n=1), kind)[0] for kind in KINDS[:3]]
    np.testing.assert_array_equal(load_file(paths[0])["x"], np.arange(60.0))
    assert pq.read_table(paths[1]).to_pydict() == TABLE.to_pydict()
    assert json.loads(paths[2].read_text())["value"]["gate"]["l0"] == 16


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_file_on_a_store_that_cannot_be_written_is_named_in_one_line(kind):
    with somebody_else(), tempfile.TemporaryDirectory() as root:
        store, key = Store(Path(root) / "store"), Key.of("any", kind, n=1)
        path = write(store, key, kind)[0]
        path.write_bytes(path.read_bytes()[:-1])
        for folder in (path.parent, store.root / "any", store.root):
            folder.chmod(0o555)
        with pytest.raises(UserError, match=f"{path} is damaged and cannot be removed"):
            read(Store(store.root), key, kind)
        assert path.exists()
        with pytest.raises(UserError, match="Cannot write"):
            write(store, key, kind)
        for folder in (store.root, store.root / "any", path.parent):
            folder.chmod(0o755)


@contextlib.contextmanager
def somebody_else():
    """Nobody in particular where this is root, whom no permission stops."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_folder_that_fails_half_way_is_not_there(store):
    def fill(folder):
        (folder / "weights").write_text("half")
        raise RuntimeError("killed")

    key = Key.of("saes", "sae", n=1)
    with pytest.raises(RuntimeError, match="killed"):
        store.write_folder(key, fill)
    assert list((store.root / "saes").iterdir()) == []


@pytest.mark.parametrize("version", [1, 99])
def test_store_of_another_format_is_refused(tmp_path, version):
    written = json.dumps({"version": version}).encode()
    if version > 1:  # the first format had no checksum
        blank = {"seal": _BLANK.decode(), "value": {"version": version}}
        written = sealed(json.dumps(blank).encode())
    (tmp_path / "format.json").write_bytes(written)
    with pytest.raises(UserError, match=f"has format {version}.*Delete it, or choose another"):
        Store(tmp_path)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_format_record_is_mended_and_nothing_is_lost(tmp_path_factory, data):
    root = tmp_path_factory.getbasetemp() / "format-damage"
    key, marker = Key.of("rows", "kept", n=1), root / "format.json"
    Store(root).write_json(key, {"kept": True})
    whole = marker.read_bytes()
    content, place = bytearray(whole), data.draw(st.integers(0, len(whole) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    marker.write_bytes(data.draw(st.sampled_from([content, whole[:place]])))
    assert Store(root).read_json(key) == {"kept": True}
    assert marker.read_bytes() == whole


def test_store_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="Cannot write"):
        Store(tmp_path / "file")


BIG = {
    "a file": 'store.write_arrays(key, {"x": np.zeros(1_000_000)})',
    "a folder": 'store.write_folder(key, lambda f: save_file({"x": np.zeros(10**6)}, f / "sae"))',
}


@pytest.mark.parametrize("what", BIG)
def test_disk_that_refuses_is_named_and_nothing_is_lost(tmp_path, what):
    """The kernel refuses files above a size, as a full disk does, in a process of its own."""
    Store(tmp_path / "s").write_json(Key.of("rows", "old", n=1), {"kept": True})
    script = f"""
        import resource, signal, numpy as np
        from probing_core.errors import UserError
        from probing_core.store import Key, Store
        from safetensors.numpy import save_file
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store, key = Store({str(tmp_path / "s")!r}), Key.of("rows", "big", n=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            {BIG[what]}
        except UserError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("No space left while writing")
    store = Store(tmp_path / "s")
    assert store.read_json(Key.of("rows", "old", n=1)) == {"kept": True}
    assert [p.name for p in (store.root / "rows").iterdir() if p.name.startswith(".tmp")] == []


def test_killed_writer_leaves_a_store_that_loads(tmp_path):
    script = f"""
        import numpy as np, itertools
        from probing_core.store import Key, Store
        store = Store({str(tmp_path)!r})
        print("ready", flush=True)
        for n in itertools.count():
            store.write_arrays(Key.of("activations", "a", n=n % 5), {{"x": np.ones(300_000)}})
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.kill()
    process.wait()
    store = Store(tmp_path)
    complete = [store.read_arrays(Key.of("activations", "a", n=n)) for n in range(5)]
    assert any(c is not None for c in complete)
    assert all((c[0]["x"] == 1).all() for c in complete if c is not None)
