"""CITATION.cff cites the software and the paper."""

from pathlib import Path

import yaml
from pybtex.database import parse_file

REPOSITORY = Path(__file__).parents[2]
AUTHORS = [
    ("Kantamneni", "Subhash"),
    ("Engels", "Joshua"),
    ("Rajamanoharan", "Senthooran"),
    ("Tegmark", "Max"),
    ("Nanda", "Neel"),
]


def citation():
    return yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))


def paper():
    return parse_file(REPOSITORY / "book/references.bib").entries["kantamneni2025sparse"]


def test_citation_has_the_required_keys():
    data = citation()
    assert data["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "type"} <= set(data)
    assert all("name" in author or "family-names" in author for author in data["authors"])


def test_preferred_citation_is_the_paper_with_all_its_authors():
    preferred = citation()["preferred-citation"]
    assert preferred["type"] == "conference-paper"
    assert preferred["title"].startswith("Are Sparse Autoencoders Useful?")
    assert [(a["family-names"], a["given-names"]) for a in preferred["authors"]] == AUTHORS
    assert (preferred["volume"], preferred["start"], preferred["end"]) == (267, 29018, 29049)
    assert preferred["conference"]["name"]


def test_bibliography_agrees_with_the_citation_file():
    entry, preferred = paper(), citation()["preferred-citation"]
    names = [(p.last_names[0], p.first_names[0]) for p in entry.persons["author"]]
    assert names == AUTHORS
    assert entry.fields["volume"] == str(preferred["volume"])
    assert entry.fields["pages"] == f"{preferred['start']}--{preferred['end']}"
    assert entry.fields["year"] == str(preferred["year"])
    assert entry.fields["title"].replace("{", "").replace("}", "") == preferred["title"]
