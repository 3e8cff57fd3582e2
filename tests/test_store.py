import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from probing_core.errors import UserError
from probing_core.store import Key, Store

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


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_damaged_arrays_are_named_and_removed(store, caplog, damage):
    key = Key.of("activations", "task", n=1)
    path = store.write_arrays(key, {"x": np.arange(1000, dtype=np.float32)})
    data = bytearray(path.read_bytes())
    data = {"truncate": data[:-100], "flip": data[:-5] + b"\xff" + data[-4:], "empty": b""}[damage]
    path.write_bytes(bytes(data))
    assert store.read_arrays(key) is None
    assert path.name in caplog.text and "rebuilt" in caplog.text
    assert not path.exists()


def test_damaged_rows_are_named_and_removed(store, caplog):
    key = Key.of("rows", "task", n=1)
    path = store.write_rows(key, pa.table({"test_auc": np.linspace(0, 1, 500)}))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(bytes(data))
    assert store.read_rows(key) is None
    assert path.name in caplog.text


def test_damaged_folder_is_removed(store):
    key = Key.of("saes", "sae", n=1)
    folder = store.write_folder(key, lambda f: (f / "weights").write_text("right"))
    assert store.read_folder(key) == folder
    (folder / "weights").write_text("wrong")
    assert store.read_folder(key) is None
    assert not folder.exists()


def test_folder_that_fails_half_way_is_not_there(store):
    def fill(folder):
        (folder / "weights").write_text("half")
        raise RuntimeError("killed")

    key = Key.of("saes", "sae", n=1)
    with pytest.raises(RuntimeError, match="killed"):
        store.write_folder(key, fill)
    assert list((store.root / "saes").iterdir()) == []


def test_store_of_another_format_is_refused(tmp_path):
    Store(tmp_path)
    (tmp_path / "format.json").write_text('{"version": 99}')
    with pytest.raises(UserError, match="has format 99.*Delete it, or choose another"):
        Store(tmp_path)


def test_store_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="Cannot write"):
        Store(tmp_path / "file")


def test_disk_that_refuses_is_named_and_nothing_is_lost(tmp_path):
    """The kernel refuses files above a size, as a full disk does, in a process of its own."""
    Store(tmp_path / "s").write_json(Key.of("rows", "old", n=1), {"kept": True})
    script = f"""
        import resource, signal, numpy as np
        from probing_core.errors import UserError
        from probing_core.store import Key, Store
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = Store({str(tmp_path / "s")!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            store.write_arrays(Key.of("rows", "big", n=1), {{"x": np.zeros(1_000_000)}})
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
