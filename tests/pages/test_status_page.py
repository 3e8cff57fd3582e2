"""The status page and the table of profiles."""

import pytest

from probing_core.pages import write_profiles_table, write_status_page
from probing_core.pages.text import md
from probing_core.profiles import profile_names

PAGE = {
    "page": "01-activations",
    "title": "What is probed",
    "seconds": 75.2,
    "status": "completed",
    "finished": "2026-01-02T03:04:05Z",
    "parameters": {"profile": "quick", "ks": [16, 128], "text": "{{ x }}"},
    "sections": ["activations", "saes"],
    "units": {"activations": 24, "saes": 3},
    "source": "ab" * 32,
    "inputs": "cd" * 32,
    "code": "ef" * 10,
}
OTHER = PAGE | {"page": "02-probes", "title": "Probes", "units": {"standard": 72}, "parameters": {}}
MANIFEST = {
    "pages": [PAGE, OTHER],
    "provenance": {
        "profile": "quick",
        "seeds": [42, 43],
        "commit": "0123abc",
        "versions": {"torch": "2.13.0", "sae-lens": "6.54"},
        "machine": {"cpu": "<b>x</b>", "cores": 2, "memory_gb": 23.5},
    },
}


@pytest.fixture
def text(tmp_path):
    return write_status_page(tmp_path, MANIFEST).read_text()


def test_every_page_states_exactly_what_it_was_made_from(text):
    details = [part.split(":::")[0] for part in text.split(":::{dropdown} ")[1:]]
    for page, detail in zip(MANIFEST["pages"], details, strict=True):
        made_from = ("page", "source", "inputs", "code")
        expected = {f"- {name}: {md(page[name])}" for name in made_from}
        units = ", ".join(f"{name} {count}" for name, count in page["units"].items())
        expected |= {f"- units: {md(units)}", f"- sections: {md(', '.join(page['sections']))}"}
        found = {line for line in detail.splitlines() if line.startswith("- ")}
        assert expected == {line for line in found if not line.startswith("- parameter ")}
        assert len(found - expected) == len(page["parameters"])
    assert "- parameter ks: 16\\, 128" in details[0]


def test_each_page_of_the_table_has_its_own_units(text):
    assert r"75\.2 | completed | 2026\-01\-02T03\:04\:05Z | activations 24\, saes 3 |" in text
    assert "| standard 72 |" in text


def test_status_names_versions_commit_and_machine(text):
    for expected in ("torch | 2\\.13\\.0", "commit: 0123abc", "cores: 2", "memory gb: 23\\.5"):
        assert expected in text
    assert "- seeds: 42\\, 43" in text


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
    row = "| quick | first build | 7 min 12 s | 2.9 GB | 0.8 GB | 2 cores | 2026\\-01\\-02 |"
    assert row in text
    assert "| quick | again | 31 s | – | – | – | – |" in text
    assert "| minilm | not measured |" in text
    assert "| paper | not measured |" in text


def test_profiles_table_without_measurements_is_still_a_table(tmp_path):
    path = write_profiles_table(tmp_path, [])
    stamp = path.stat().st_mtime_ns
    assert path.read_text().count("| not measured | – |") == len(profile_names())
    assert write_profiles_table(tmp_path, []).stat().st_mtime_ns == stamp
