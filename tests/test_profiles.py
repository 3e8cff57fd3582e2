import os

import pytest

from probing_core.datasets import TASKS
from probing_core.datasets.regimes import REGIMES
from probing_core.errors import UserError
from probing_core.experiments import leakage
from probing_core.experiments.study import open_study
from probing_core.pages.tasks import page_groups
from probing_core.probes.boosting import search_draws
from probing_core.profiles import load_profile, profile_names
from probing_core.saes.sources import expand, sae_id


def write(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


GOOD = "models: [{name: minilm, hooks: [hook_embed], main_hook: hook_embed}]\n"


def test_five_profiles_come_with_the_package():
    assert profile_names() == ["minilm", "paper", "published", "quick", "smollm2"]
    for name in profile_names():
        assert load_profile(name).description


def test_quick_has_every_kind_every_shifted_task_and_the_shortcut_task():
    quick = load_profile("quick")
    chosen = [TASKS[tag] for tag in quick.tasks]
    assert len(chosen) == 24
    assert all({task.id for task in chosen} & set(group.ids) for group in page_groups())
    assert {t.tag for t in TASKS.values() if t.shifted} <= set(quick.tasks)
    assert "110_aimade_humangpt3" in quick.tasks
    assert quick.max_prompts <= 1500
    saes = quick.models[0].saes
    assert len({s.width for s in saes}) == 2 and len({s.l0 for s in saes}) == 2


def test_a_causal_model_stands_beside_minilm_in_quick_and_first_in_its_own():
    quick, own = load_profile("quick"), load_profile("smollm2")
    second = quick.scaled(quick.models[1])
    shifted = {t.tag for t in TASKS.values() if t.shifted}
    assert quick.models[1].name == "smollm2" and shifted <= set(second.tasks)
    assert len(second.tasks) >= 10 and second.max_prompts <= 400
    first = own.models[0]
    assert first.name == "smollm2" and own.tasks == "all" and len(first.hooks) == 5
    assert len(first.saes) >= 6 and set(own.regimes) == {"scarcity", "imbalance", "label_noise"}
    for model in (quick.models[1], first):
        assert model.position == "last" and not model.prepend_bos


def test_paper_names_the_34_saes_of_layer_20():
    gemma, llama, small = load_profile("paper").models
    assert gemma.hooks[1:] == tuple(f"blocks.{n}.hook_resid_post" for n in (9, 20, 31, 41))
    assert len(expand(gemma.saes)) == 34
    assert [s.id for s in expand(llama.saes)] == ["l16r_32x"]
    assert small.main_hook == "blocks.12.hook_resid_post"


def test_minilm_covers_all_tasks_with_nine_saes():
    profile = load_profile("minilm")
    assert profile.tasks == "all" and len(profile.models[0].saes) >= 9


def test_published_grids_are_those_of_the_registry():
    for name in ("paper", "published", "minilm", "smollm2"):
        grids = load_profile(name).regimes
        assert list(grids) == ["scarcity", "imbalance", "label_noise"]
        thinned = {regime for regime, grid in grids.items() if grid.values}
        assert thinned == ({"label_noise"} if name == "smollm2" else set())
        assert set(grids["label_noise"].values) <= set(REGIMES["label_noise"].values)
        assert grids["label_noise"].methods == ("logreg",)


@pytest.mark.parametrize("name", ["quick", "minilm", "smollm2", "paper"])
def test_boosting_tries_a_setting_that_grows_trees_of_few_prompts(name):
    profile = load_profile(name)
    scales = [profile, *(model.scale for model in profile.models)]
    grids = [grid for one in scales for grid in (one.regimes or {}).values()]
    grids += leakage.grids(open_study(name)).values()
    for grid in grids:
        if "xgboost" in grid.methods:
            draws = search_draws(42, grid.xgboost_draws)
            assert min(draw["min_child_weight"] for draw in draws) == 1


def test_profile_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_profile("quick").name = "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modles: []\n", "unknown key 'modles'. Did you mean 'models'"),
        (GOOD + "solvr: fast\n", "Did you mean 'solver'"),
        (GOOD + "solver: quick\n", "solver: Input should be 'fast' or 'reference'"),
        (GOOD.replace("main_hook: hook_embed", "main_hook: h"), "main_hook 'h' must be one of"),
        ("- a list\n", "must hold a mapping"),
        ("a: [1\n", "is not readable YAML"),
        ("!!python/object/apply:os.system ['true']\n", "is not readable YAML"),
    ],
)
def test_bad_profile_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(UserError) as error:
        load_profile(write(tmp_path, text))
    assert message in str(error.value) and "\n" not in str(error.value)


OWN = """
models:
  - name: ../models/mine
    hooks: [hook_embed]
    main_hook: hook_embed
    saes: [{folder: saes/first}, {width: 64, l0: 8}, {folder: /somewhere/second, name: other}]
  - {name: google/gemma-2-9b, hooks: [hook_embed], main_hook: hook_embed}
  - {name: minilm, hooks: [hook_embed], main_hook: hook_embed}
tasks: [66_living-room, my.csv, data/other.tsv.gz, /somewhere/third.csv, notes]
"""


def test_files_and_folders_of_a_profile_lie_beside_it(tmp_path, monkeypatch):
    here = tmp_path / "study"
    for folder in ("models/mine", "study/minilm", "elsewhere/66_living-room"):
        (tmp_path / folder).mkdir(parents=True)
    (here / "notes").touch()
    write(here, OWN)
    monkeypatch.chdir(tmp_path / "elsewhere")
    profile = load_profile("../study/mine.yaml")
    mine, hub, minilm = profile.models
    assert (mine.name, mine.source) == ("mine", str(tmp_path / "models" / "mine"))
    assert (hub.name, hub.source) == ("google/gemma-2-9b", "google/gemma-2-9b")
    assert (minilm.name, minilm.source) == ("minilm", "minilm")
    first, trained, second = mine.saes
    assert first.folder == here / "saes" / "first" and trained.width == 64
    assert str(second.folder) == "/somewhere/second"
    assert [sae_id(one) for one in (first, second)] == ["first", "other"]
    files = [str(here / name) for name in ("my.csv", "data/other.tsv.gz")]
    assert profile.tasks == (
        "66_living-room", *files, "/somewhere/third.csv", str(here / "notes")
    )  # fmt: skip


def test_a_model_folder_may_be_given_as_seen_from_here_or_by_its_own_key(tmp_path, monkeypatch):
    (tmp_path / "here" / "model").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = write(tmp_path / "other", GOOD.replace("minilm", "./model"))
    (model,) = load_profile(path).models
    assert (model.name, model.source) == ("model", str(tmp_path / "here" / "model"))
    write(tmp_path / "other", GOOD.replace("minilm", "mine, folder: ../here/model"))
    (model,) = load_profile(path).models
    assert model.name == "mine"
    assert os.path.samefile(model.source, tmp_path / "here" / "model")


def test_two_models_of_one_name_are_refused_with_both_places(tmp_path):
    for place in "ab":
        (tmp_path / place / "mine").mkdir(parents=True)
    models = ", ".join(
        f"{{name: {place}/mine, hooks: [hook_embed], main_hook: hook_embed}}" for place in "ab"
    )
    path = write(tmp_path, f"models: [{models}]\n")
    with pytest.raises(UserError, match="two models called 'mine': .*a/mine and .*b/mine"):
        open_study(path, tmp_path / "store")
    write(tmp_path, f"models: [{models.replace('name: b/mine', 'name: second, folder: b/mine')}]")
    assert [one.name for one in open_study(path, tmp_path / "store").profile.models] == [
        "mine",
        "second",
    ]


def test_unknown_profile_offers_the_nearest():
    with pytest.raises(UserError, match="Unknown profile 'quik'. Did you mean 'quick'"):
        load_profile("quik")


def test_pattern_without_a_match_names_release_and_id():
    from probing_core.profiles import ReleasedSAE

    with pytest.raises(UserError, match="Did you mean 'gemma-scope-9b-pt-res'"):
        expand((ReleasedSAE(release="gemma-scope-9b-ptres", id="layer_20/*"),))
    with pytest.raises(UserError, match="has no SAE 'layer_99/width_16k'"):
        expand((ReleasedSAE(release="gemma-scope-9b-pt-res", id="layer_99/width_16k"),))


def test_a_key_in_the_wrong_place_is_told_its_own(tmp_path):
    with pytest.raises(UserError, match="key 'position' stands in the wrong place.* a model"):
        load_profile(write(tmp_path, GOOD + "position: last\n"))


def test_a_model_has_a_scale_of_its_own(tmp_path):
    (tmp_path / "own.csv").write_text("prompt,target\n")
    own = ", scale: {tasks: [own.csv], max_prompts: 200, standard: {k: [2]}}}]"
    profile = load_profile(write(tmp_path, GOOD.replace("}]", own)))
    scaled = profile.scaled(profile.models[0])
    assert scaled.max_prompts == 200 and scaled.standard.k == (2,)
    assert scaled.tasks == (str(tmp_path / "own.csv"),) and profile.tasks == "all"
    assert scaled.max_tokens == profile.max_tokens
