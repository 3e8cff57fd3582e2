import hashlib
import os
import shutil

import nbformat
import pytest
import yaml

from probing_core import LOG_FILE
from probing_core.analysis.parameters import PARAMETERS
from probing_core.errors import RunFailed, UserError
from probing_core.experiments import sections
from probing_core.experiments.sections import SECTIONS
from probing_core.experiments.study import open_study
from probing_core.runner import book, notebooks
from probing_core.runner.notebooks import (
    check_request,
    notebook_names,
    notebook_parameters,
    notebook_sections,
    read_notebook,
    run_notebooks,
)
from tests.conftest import small_profile


def write_notebook(
    folder, name, code, parameters="n: int = 1\nnames: list = ['a']", sections=("standard",)
):
    folder.joinpath(f"{name}.md").write_text(
        f"---\nsections: [{', '.join(sections)}]\nkernelspec:\n"
        "  display_name: Python 3\n  language: python\n  name: python3\n---\n\n"
        "# A page\n\n```{code-cell} ipython3\n:tags: [parameters]\n\n"
        f"{parameters}\n```\n\n```{{code-cell}} ipython3\n{code}\n```\n",
        encoding="utf-8",
    )


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(notebooks, "SECTIONS", tmp_path / "sections")
    return tmp_path


def run(study, names, **changes):
    settings = {"profile": "quick", "parameters": {}}
    return run_notebooks(study, names, **(settings | changes))


def test_every_notebook_names_sections_that_exist():
    assert notebook_names() == sorted(notebook_names())
    assert all(set(notebook_sections(name)) <= set(SECTIONS) for name in notebook_names())
    assert set(book.book_sections()) == set(SECTIONS)


def test_a_notebook_that_names_an_unknown_section_is_refused(folders, small_study):
    write_notebook(folders, "05-page", "n", sections=["standrad"])
    with pytest.raises(UserError, match="no section 'standrad'. Did you mean 'standard'"):
        run(small_study, ["05-page"])


def test_unknown_notebook_offers_the_nearest():
    with pytest.raises(UserError, match="Unknown notebook '02-probe'. Did you mean '02-probes'"):
        read_notebook("02-probe")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rankng": "x"}, "has a parameter 'rankng'. Did you mean 'ranking'"),
        ({"quiver_k": 16}, r"is a list such as \[16, 128\], not 16"),
        ({"quiver_k": (16,)}, "cannot be a tuple"),
        ({"ranking": "mean_diference"}, "cannot be 'mean_diference'. Did you mean 'mean_diff"),
        ({"quiver_k": [77]}, "'quiver_k' cannot be 77. Did you mean 128"),
        ({"quiver_k": []}, "is a list such as"),
        ({"tie_policy": "neutrl"}, "Did you mean 'neutral'"),
        ({"bar_k": "128"}, "is a whole number such as 128, not '128'"),
        ({"regimes": ["scarcty"]}, "Did you mean 'scarcity'"),
        ({"seeds": [-1]}, "greater than or equal to 0"),
        ({"seeds": [1, 1]}, "1 stands there twice"),
        ({"grids": {"scarcty": [4]}}, "Did you mean 'scarcity'"),
        ({"grids": {"scarcity": ["a"]}}, "is a mapping such as"),
        ({"quiver_saes": ["topk-w512-l0_61"]}, "Did you mean 'topk-w512-l0_16"),
    ],
)
def test_wrong_parameter_is_refused_before_anything_runs(given, message, small_study):
    with pytest.raises(UserError, match=message):
        check_request(small_study, ["02-probes", "03-regimes"], given)


def test_defaults_of_every_notebook_are_values_that_it_can_have(small_study):
    for name in notebook_names():
        defaults = notebook_parameters(read_notebook(name))
        assert set(defaults) <= set(PARAMETERS)
        check_request(small_study, [name], defaults)


def test_parameters_are_read_from_the_tagged_cell():
    assert notebook_parameters(read_notebook("02-probes"))["quiver_k"] == [16, 128]


def test_page_shows_the_values_used_and_no_paths(folders, small_study):
    write_notebook(folders, "05-page", "print(n + 1)", "n: int = 1\nstore: str = ''")
    (made,) = run(small_study, ["05-page"], parameters={"n": 4})
    text = (folders / "sections" / "05-page.ipynb").read_text()
    notebook = nbformat.reads(text, as_version=4)
    assert [c.source for c in notebook.cells if c.cell_type == "code"] == [
        "n: int = 4\nstore: str = ''",
        "print(n + 1)",
    ]
    assert notebook.cells[-1].outputs[0].text.strip() == "5"
    assert made.title == "A page" and made.parameters == {"n": 4}
    assert str(folders) not in text and str(small_study.store.root) not in text
    assert "papermill" not in notebook.metadata


def test_unknown_parameter_is_refused_before_anything_runs(tmp_path):
    study = open_study(small_profile(), tmp_path)
    with pytest.raises(UserError, match="No notebook has a parameter 'm'"):
        book.run(study, profile="quick", parameters={"m": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["format.json"]


def test_failed_notebook_stops_the_run_and_leaves_no_page(folders, small_study):
    write_notebook(folders, "05-page", "1 / 0")
    with pytest.raises(RunFailed, match="05-page failed in cell 2: ZeroDivisionError"):
        run(small_study, ["05-page"])
    assert not (folders / "sections" / "05-page.ipynb").exists()


def test_page_states_its_own_sources_parameters_and_units(folders, small_study):
    write_notebook(folders, "05-page", "n")
    write_notebook(folders, "06-page", "n", sections=["saes", "regimes"])
    first, second = run(small_study, ["05-page", "06-page"], parameters={"n": 3})
    text = (folders / "05-page.md").read_bytes()
    assert first.source == hashlib.sha256(text).hexdigest() != second.source
    assert (first.sections, first.units) == (["standard"], {"standard": 9})
    assert (second.sections, second.units) == (["saes", "regimes"], {"saes": 1, "regimes": 18})
    assert first.inputs != second.inputs and first.code == second.code
    assert first.parameters == {"n": 3}


def test_page_is_kept_while_nothing_changed_and_made_anew_when_its_inputs_do(folders, small_study):
    write_notebook(folders, "05-page", "n")
    (first,) = run(small_study, ["05-page"])
    (second,) = run(small_study, ["05-page"])
    grid = {"methods": ["knn"], "k": [4]}
    other = open_study(small_profile(standard=grid), small_study.store)
    (third,) = run(other, ["05-page"])
    assert first == second
    assert third.inputs != first.inputs and third.source == first.source
    write_notebook(folders, "05-page", "n, n")
    (fourth,) = run(other, ["05-page"])
    assert fourth.source != third.source


def test_secrets_of_the_environment_reach_no_page(folders, small_study, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    write_notebook(folders, "05-page", "print(n)")
    run(small_study, ["05-page"], parameters={"n": 2})
    assert "hf_secretsecret" not in (folders / "sections" / "05-page.ipynb").read_text()


def test_a_file_damaged_during_a_page_is_named_in_the_log_and_not_on_the_page(
    folders, small_study, tmp_path, caplog
):
    study = open_study(small_profile(), shutil.copytree(small_study.store.root, tmp_path / "s"))
    sections.rows(study, "standard")
    profile = tmp_path / "small.yaml"
    profile.write_text(yaml.safe_dump(study.profile.model_dump(mode="json", exclude={"name"})))
    shard = study.store.path(sections.keys(study, "standard")[0], ".parquet")
    code = (
        "from pathlib import Path\n"
        "from probing_core.experiments.sections import rows\n"
        "from probing_core.experiments.study import open_study\n"
        "Path(shard).write_bytes(Path(shard).read_bytes()[:-100])\n"
        "len(rows(open_study(profile, store), 'standard'))"
    )
    write_notebook(folders, "05-page", code, "profile: str = ''\nstore: str = ''\nshard: str = ''")
    made = run(study, ["05-page"], profile=str(profile), parameters={"shard": str(shard)})
    assert made[0].status == "completed" and shard.exists()
    (line,) = [one for one in caplog.messages if "Damaged" in one]
    assert line.startswith("05-page: ") and shard.name in line
    (cell,) = nbformat.read(folders / "sections" / "05-page.ipynb", 4).cells[-1:]
    assert [output.output_type for output in cell.outputs] == ["execute_result"]
    assert LOG_FILE not in os.environ


def test_plain_papermill_gives_a_wrong_value_the_line_that_the_command_gives(small_study, tmp_path):
    import papermill

    given = {"quiver_k": [77], "store": str(small_study.store.root)}
    source = tmp_path / "02.ipynb"
    nbformat.write(read_notebook("02-probes"), source)
    with pytest.raises(papermill.PapermillExecutionError) as plain:
        papermill.execute_notebook(source, tmp_path / "out.ipynb", given, progress_bar=False)
    with pytest.raises(UserError) as batch:
        book.run(open_study("quick", small_study.store), profile="quick", parameters=given)
    assert plain.value.ename == "UserError" and plain.value.evalue == str(batch.value)
    assert plain.value.traceback == [f"error: {batch.value}"]


def test_a_kernel_that_dies_at_its_start_is_started_again(folders, small_study, monkeypatch):
    """The first starts fail as they do when two kernels pick one port; the last one is real."""
    import papermill

    write_notebook(folders, "00-a", "n")
    real, starts = papermill.execute_notebook, []

    def unlucky(*arguments, **options):
        starts.append(arguments)
        if len(starts) < notebooks.KERNEL_STARTS:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return real(*arguments, **options)

    monkeypatch.setattr(papermill, "execute_notebook", unlucky)
    assert run(small_study, ["00-a"])[0].status == "completed"
    assert len(starts) == notebooks.KERNEL_STARTS
