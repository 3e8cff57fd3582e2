"""CITATION.cff cites the software and the paper, as the bibliography does."""

from pathlib import Path

import yaml
from pybtex.database import parse_file

REPOSITORY = Path(__file__).parents[2]
CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
PAPER = parse_file(REPOSITORY / "book/references.bib").entries["kantamneni2025sparse"]


def test_citation_has_the_required_keys():
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "type"} <= set(CITATION)
    assert all("name" in author or "family-names" in author for author in CITATION["authors"])


def test_preferred_citation_is_the_paper_as_the_bibliography_has_it():
    preferred, fields = CITATION["preferred-citation"], PAPER.fields
    names = [(p.last_names[0], p.first_names[0]) for p in PAPER.persons["author"]]
    assert [(a["family-names"], a["given-names"]) for a in preferred["authors"]] == names
    assert names[0] == ("Kantamneni", "Subhash") and len(names) == 5
    assert fields["volume"] == str(preferred["volume"])
    assert fields["pages"] == f"{preferred['start']}--{preferred['end']}"
    assert fields["year"] == str(preferred["year"])
    assert fields["title"].replace("{", "").replace("}", "") == preferred["title"]
    assert preferred["type"] == "conference-paper" and preferred["conference"]["name"]
