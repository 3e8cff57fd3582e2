import pytest

from probing_core.datasets import TASKS
from probing_core.errors import UserError
from probing_core.pages.tasks import page_groups
from probing_core.profiles import load_profile, profile_names
from probing_core.saes.sources import expand


def write(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


GOOD = "models: [{name: minilm, hooks: [hook_embed], main_hook: hook_embed}]\n"


def test_four_profiles_come_with_the_package():
    assert profile_names() == ["minilm", "paper", "published", "quick"]
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
    for name in ("paper", "published", "minilm"):
        grids = load_profile(name).regimes
        assert list(grids) == ["scarcity", "imbalance", "label_noise"]
        assert not any(grid.values for grid in grids.values())
        assert grids["label_noise"].methods == ("logreg",)


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


def test_unknown_profile_offers_the_nearest():
    with pytest.raises(UserError, match="Unknown profile 'quik'. Did you mean 'quick'"):
        load_profile("quik")


def test_pattern_without_a_match_names_release_and_id():
    from probing_core.profiles import ReleasedSAE

    with pytest.raises(UserError, match="Did you mean 'gemma-scope-9b-pt-res'"):
        expand((ReleasedSAE(release="gemma-scope-9b-ptres", id="layer_20/*"),))
    with pytest.raises(UserError, match="has no SAE 'layer_99/width_16k'"):
        expand((ReleasedSAE(release="gemma-scope-9b-pt-res", id="layer_99/width_16k"),))
