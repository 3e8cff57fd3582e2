"""The status page and the table of profiles."""

import pytest

from probing_core.pages import write_profiles_table, write_status_page
from probing_core.profiles import profile_names

PAGE = {
    "page": "01-activations",
    "title": "What is probed",
    "status": "completed",
    "seconds": 75.2,
    "finished": "2026-01-02T03:04:05Z",
    "parameters": {"profile": "quick", "text": "{{ x }}", "quiver_k": [16, 128]},
    "sections": ["activations", "standard"],
    "units": {"activations": 24, "standard": 1200},
    "source": "ab" * 32,
    "inputs": "cd" * 32,
    "code": "ef" * 32,
}
OTHER = PAGE | {"title": "Errata", "sections": [], "units": {}, "source": "01" * 32}
PROVENANCE = {
    "profile": "quick",
    "seeds": [42],
    "n_tasks": 24,
    "device": None,
    "commit": "0123abc",
    "versions": {"torch": "2.13.0", "sae-lens": "6.54"},
    "machine": {"cpu": "<b>x</b>", "cores": 2, "memory_gb": 23.5},
}


@pytest.fixture
def text(tmp_path):
    return write_status_page(
        tmp_path, {"pages": [PAGE, OTHER], "provenance": PROVENANCE}
    ).read_text()


def test_status_names_duration_versions_commit_and_machine(text):
    for expected in (
        "| What is probed | 1 min 15 s | completed |",
        "| torch | 2\\.13\\.0 |",
        "- commit: 0123abc",
        "- cores: 2",
        "- tasks: 24",
        "- memory\\, GB: 23\\.5",
    ):
        assert expected in text
    assert "device" not in text


def test_every_page_states_its_own_source_parameters_and_units_and_no_more(text):
    _, first, second = text.split(":::{dropdown} ")
    facts = [line for line in first.splitlines() if line.startswith("- ")]
    assert facts == [
        f"- SHA\\-256 of the notebook\\'s text: {'ab' * 32}",
        f"- digest of the shards read\\, the profile and the parameters: {'cd' * 32}",
        f"- digest of the packages\\' code: {'ef' * 32}",
        "- shards read of activations: 24",
        "- shards read of standard: 1200",
        "- parameter profile: quick",
        "- parameter text: \\{\\{ x \\}\\}",
        "- parameter quiver\\_k: \\[16\\, 128\\]",
    ]
    assert f"notebook\\'s text: {'01' * 32}" in second
    assert "shards read of" not in second
    assert "| 1,224 |" in text and "| 0 |" in text


def test_status_escapes_what_it_shows(text):
    assert "<b>" not in text
    assert "{{ x }}" not in text


def test_profiles_are_all_named_measured_or_not(tmp_path):
    measured = [
        {
            "profile": "quick",
            "what": "first build",
            "seconds": 432.1,
            "peak_memory_gb": 2.94,
            "store_gb": 0.81,
            "machine": "2 cores",
            "date": "2026-01-02",
        },
        {"profile": "quick", "what": "again", "seconds": 31},
    ]
    text = write_profiles_table(tmp_path, measured).read_text()
    assert "| quick | first build | 7 min 12 s | 2.9 | 0.8 | 2 cores | 2026\\-01\\-02 |" in text
    assert "| quick | again | 31 s | – | – | – | – |" in text
    for name in set(profile_names()) - {"quick"}:
        assert f"| {name} | not measured | – |" in text


def test_profiles_table_without_measurements_is_still_a_table(tmp_path):
    path = write_profiles_table(tmp_path, [])
    assert path.name == "_profiles.md"
    assert path.read_text().count("not measured") == len(profile_names())
