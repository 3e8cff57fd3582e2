import hashlib

import nbformat
import pytest

from probing_core.errors import RunFailed, UserError
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
        ({"rankng": "x"}, "has no parameter 'rankng'. Did you mean 'ranking'"),
        ({"quiver_k": 16}, "is a list such as"),
        ({"quiver_k": (16,)}, "cannot be a tuple"),
    ],
)
def test_wrong_parameter_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        check_request(["02-probes"], given)


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
