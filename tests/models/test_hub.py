"""Hub names go through the same doors: checked against a server on loopback."""

import socket

import pytest

from probing_core.experiments.saes import sae_key, study_saes
from probing_core.models.embedded import embedded_folder
from tests.hub import COMMIT, TOKEN, Hub, run


@pytest.fixture
def served(small_study):
    (source,) = study_saes(small_study)
    saved = small_study.store.path(sae_key(small_study, source))
    folders = {"owner/model": embedded_folder("minilm"), "owner/saes": saved.parent}
    with Hub(folders, greeting=1.0) as hub:
        yield hub, saved.name


@pytest.fixture
def hub(served):
    return served[0].url, served[1]


@pytest.fixture(params=["refuses", "is silent"])
def dead_end(request):
    """The address of a hub that refuses connections, or takes them and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "is silent":
            server.listen(50)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("dead_end", ["is silent"], indirect=True)
def test_hub_model_loads_and_stays_where_the_hub_is_out_of_reach(hub, dead_end, tmp_path):
    script = """
        from probing_core.models.adapter import load_model, model_revision
        print(load_model("owner/model", device="cpu").d_model, model_revision("owner/model"))
    """
    assert run(script, hub[0], tmp_path) == ["384", COMMIT]
    # once cached, it needs no hub
    assert run(script, dead_end, tmp_path) == ["384", COMMIT]


def test_sae_of_a_hub_repository_loads_and_its_identity_is_its_commit(hub, tmp_path):
    script = f"""
        from probing_core.profiles import ReleasedSAE
        from probing_core.saes.sources import expand, identity, load_external
        (source,) = expand((ReleasedSAE(release="owner/saes", id={hub[1]!r}),))
        sae = load_external(source)
        print(sae.cfg.d_sae, sae.cfg.metadata.hook_name, *identity(source).values())
    """
    expected = ["512", "blocks.3.hook_resid_post", "owner/saes", hub[1], COMMIT]
    assert run(script, hub[0], tmp_path) == expected


def test_commit_is_the_newest_or_the_cached_one_while_offline(served, tmp_path):
    script = "from probing_core.models.adapter import hub_commit; print(hub_commit('owner/saes'))"
    server = served[0]
    assert run(script, server.url, tmp_path) == [COMMIT]
    server.commit = COMMIT[::-1]
    assert run(script, server.url, tmp_path, HF_HUB_OFFLINE="1") == [COMMIT]
    assert run(script, server.url, tmp_path) == [COMMIT[::-1]]


def test_out_of_reach_hub_is_told_within_three_seconds(dead_end, tmp_path):
    script = """
        import time
        import sae_lens.loading.pretrained_saes_directory as listed
        from transformer_lens.model_bridge import TransformerBridge
        from probing_core.errors import UserError
        from probing_core.models.adapter import known_models, load_model, model_revision
        from probing_core.profiles import ReleasedSAE
        from probing_core.saes.sources import identity, load_external

        known_models(), listed.get_pretrained_saes_directory()
        sae = ReleasedSAE(release="owner/saes", id="mine")
        start = time.monotonic()
        models = [(load_model, "gpt2"), (model_revision, "gpt2"), (load_model, "owner/model")]
        for read, what in [(load_external, sae), (identity, sae), *models]:
            try:
                read(what)
            except UserError as error:
                print("the hub did not serve it" in str(error))
        print(time.monotonic() - start)
    """
    *told, seconds = run(script, dead_end, tmp_path)
    assert told == ["True"] * 5 and float(seconds) < 3


LOAD = """
    from probing_core.errors import UserError
    from probing_core.models.adapter import load_model, model_revision
    from probing_core.profiles import ReleasedSAE
    from probing_core.saes.sources import load_external
    try:
        {0}
    except UserError as error:
        print(error)
"""
MODEL = "print(load_model('owner/model', device='cpu').d_model)"


def told(what, server, home, **changes):
    return " ".join(run(LOAD.format(what), server.url, home, **changes))


def test_a_licence_that_is_not_accepted_is_named_with_the_variable_of_the_token(served, tmp_path):
    server = served[0]
    server.gated = {"owner/model"}
    line = told(MODEL, server, tmp_path)
    assert f"is behind a licence: accept it at {server.url}/owner/model" in line
    assert "set HF_TOKEN" in line
    assert told(MODEL, server, tmp_path, HF_TOKEN=TOKEN) == "384"


@pytest.mark.parametrize("read", ["load_model", "model_revision"])
def test_a_revision_that_is_not_there_is_told(served, tmp_path, read):
    line = told(f"{read}('owner/model@v9')", served[0], tmp_path)
    assert "owner/model has no such revision" in line


def test_a_file_that_is_not_there_is_named(served, tmp_path):
    source = f"ReleasedSAE(release='owner/saes', id='{served[1]}/absent')"
    line = told(f"load_external({source})", served[0], tmp_path)
    assert f"owner/saes has no file {served[1]}/absent/cfg.json" in line


def test_a_file_that_arrives_damaged_is_named_with_what_to_delete(served, tmp_path):
    server, name = served
    server.damaged = {f"{name}/sae_weights.safetensors"}
    what = f"load_external(ReleasedSAE(release='owner/saes', id='{name}'))"
    line = told(what, server, tmp_path)
    assert "sae_weights.safetensors of owner/saes arrived damaged" in line
    assert "Delete " in line and f"{tmp_path}/" in line


def test_a_file_that_changes_after_it_was_right_is_noticed(served, tmp_path):
    server, name = served
    what = f"load_external(ReleasedSAE(release='owner/saes', id='{name}'))"
    told(what, server, tmp_path)
    blob = next(tmp_path.rglob("sae_weights.safetensors")).resolve()
    assert blob.with_name(f"{blob.name}.checked").exists()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    assert "sae_weights.safetensors of owner/saes arrived damaged" in told(what, server, tmp_path)


def test_a_connection_that_breaks_is_taken_up_where_it_broke(served, tmp_path):
    server = served[0]
    server.cut = {"model.safetensors": 2}
    assert told(MODEL, server, tmp_path) == "384"
    asked = [part for file, part in server.asked if file == "owner/model/model.safetensors"]
    starts = [int(part.removeprefix("bytes=").split("-")[0]) if part else 0 for part in asked]
    assert len(starts) == 3 and starts[0] == 0 < starts[1] < starts[2]


def test_after_a_stop_finished_files_are_not_asked_for_again(served, tmp_path):
    server = served[0]
    download = (
        "from huggingface_hub import hf_hub_download as get; get('owner/model', 'config.json')"
    )
    run(download, server.url, tmp_path)
    assert told(MODEL, server, tmp_path) == "384"
    assert [file for file, _ in server.asked].count("owner/model/config.json") == 1
