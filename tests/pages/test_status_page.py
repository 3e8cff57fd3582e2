"""The status page and the table of profiles."""

import re

from probing_core.pages import write_profiles_table, write_status_page

MANIFEST = {
    "pages": [
        {
            "page": "01-activations",
            "title": "What is probed",
            "seconds": 75.2,
            "status": "executed",
            "finished": "2026-01-02T03:04:05Z",
            "source_sha256": "ab" * 32,
            "parameters": {"profile": "quick", "text": "{{ x }}"},
            "unit_keys": [f"standard-{i:03d}" for i in range(20)],
        },
        {"page": "02-probes"},
    ],
    "provenance": {
        "profile": "quick",
        "seeds": [42],
        "commit": "0123abc",
        "versions": {"torch": "2.13.0", "sae-lens": "6.54"},
        "machine": {"cpu": "<b>x</b>", "cores": 2, "memory_gb": 23.5},
        "duration": 345.6,
    },
}


def test_status_names_duration_versions_commit_keys_and_machine(tmp_path):
    text = write_status_page(tmp_path, MANIFEST).read_text()
    for expected in (
        "1 min 15 s",
        "2\\.13\\.0",
        "0123abc",
        "standard\\-000",
        "cores: 2",
        "5 min 46 s",
        "store keys: 20",
        "memory\\, GB: 23\\.5",
        "abab",
    ):
        assert expected in text
    assert "02\\-probes" in text


def test_status_shows_few_keys_but_tells_all_apart(tmp_path):
    text = write_status_page(tmp_path, MANIFEST).read_text()
    assert len(re.findall(r"^- store key ", text, flags=re.MULTILINE)) == 8
    changed = {**MANIFEST["pages"][0], "unit_keys": [*MANIFEST["pages"][0]["unit_keys"][:-1], "z"]}
    other = write_status_page(tmp_path, {**MANIFEST, "pages": [changed]}).read_text()
    digest = r"sha256 of the sorted list (\w{64})"
    assert re.search(digest, text).group(1) != re.search(digest, other).group(1)


def test_status_escapes_what_it_shows(tmp_path):
    text = write_status_page(tmp_path, MANIFEST).read_text()
    assert "<b>" not in text
    assert "{{ x }}" not in text


def test_status_of_an_empty_run_says_so(tmp_path):
    text = write_status_page(tmp_path, {}).read_text()
    assert "no executed page" in text
    assert "Not recorded" in text


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
    assert (
        "| quick | first build | 7 min 12 s | 2.9 GB | 0.8 GB | 2 cores | 2026\\-01\\-02 |" in text
    )
    assert "| quick | again | 31 s | – | – | – | – |" in text
    assert "| minilm | not measured |" in text
    assert "| paper | not measured |" in text


def test_profiles_table_without_measurements_is_still_a_table(tmp_path):
    path = write_profiles_table(tmp_path, [])
    stamp = path.stat().st_mtime_ns
    assert path.name == "_profiles.md"
    assert path.read_text().count("not measured") == 4
    assert write_profiles_table(tmp_path, []).stat().st_mtime_ns == stamp
