"""The sources of the book fit together."""

import json
import re
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml
from pybtex.database import parse_file

from probing_core.pages import page_groups

REPOSITORY = Path(__file__).parents[2]
BOOK = REPOSITORY / "book"
PROSE = sorted(BOOK.glob("*.md"))
GENERATED = {"tasks", "status", *(f"tasks-{group.slug}" for group in page_groups())}


def read_yaml(name):
    return yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))


def pages_of(toc):
    found = [toc["root"]]

    def walk(node):
        for entry in node.get("chapters", []) + node.get("sections", []):
            found.append(entry["file"])
            walk(entry)

    for part in toc["parts"]:
        walk(part)
    return found


def cited(text):
    roles = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
    return {key.strip() for role in roles for key in role.split(",")}


def markdown_sources():
    code = REPOSITORY.glob("probing_core/pages/*.py")
    return [*PROSE, *REPOSITORY.glob("notebooks/*.md"), *code]


def test_config_fits_the_schema_of_jupyter_book():
    schema = json.loads(files("jupyter_book").joinpath("config_schema.json").read_text())
    jsonschema.validate(read_yaml("_config.yml"), schema)


def test_config_never_executes_a_page():
    execute = read_yaml("_config.yml")["execute"]
    assert execute["execute_notebooks"] == "off"
    assert execute["allow_errors"] is False


def test_every_page_in_the_contents_exists_or_is_made():
    for page in pages_of(read_yaml("_toc.yml")):
        path = Path(page)
        if path.parent == Path("book/sections"):
            source = REPOSITORY / "notebooks" / f"{path.name}.md"
            assert path.name in GENERATED or source.is_file(), page
        else:
            assert (REPOSITORY / f"{page}.md").is_file(), page


def test_every_prose_page_and_notebook_is_in_the_contents():
    pages = pages_of(read_yaml("_toc.yml"))
    for path in PROSE:
        assert f"book/{path.stem}" in pages
    for path in REPOSITORY.glob("notebooks/[0-9]*.md"):  # the report on one SAE is no page
        assert f"book/sections/{path.stem}" in pages


def test_no_page_is_listed_twice_and_names_have_hyphens():
    pages = pages_of(read_yaml("_toc.yml"))
    assert len(pages) == len(set(pages))
    assert not [page for page in pages if "_" in page]


def test_every_citation_has_an_entry_and_every_entry_is_cited():
    entries = set(parse_file(BOOK / "references.bib").entries)
    used = set().union(*(cited(path.read_text(encoding="utf-8")) for path in markdown_sources()))
    assert used == entries


def test_every_term_is_in_the_glossary():
    glossary = (BOOK / "glossary.md").read_text(encoding="utf-8")
    terms = {line.lower() for line in glossary.splitlines() if re.match(r"\w", line)}
    for path in markdown_sources():
        for term in re.findall(r"\{term\}`([^`<]+)`", path.read_text(encoding="utf-8")):
            assert term.lower() in terms, f"{path.name}: {term}"


def test_figures_in_prose_have_a_name_and_alt_text():
    for path in PROSE:
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r":::\{figure\}(.*?)\n\n", text, flags=re.DOTALL):
            assert ":alt:" in block, path.name
            assert ":name: fig-" in block, path.name
            image = block.split()[0]
            assert (path.parent / image).is_file(), image


@pytest.mark.parametrize("path", sorted((BOOK / "_static").glob("*.svg")), ids=lambda p: p.name)
def test_drawings_have_an_opaque_white_ground(path):
    root = ElementTree.parse(path).getroot()
    shapes = [node for node in root if node.tag.endswith("rect")]
    assert shapes[0].get("fill") == "#FFFFFF"
    assert [shapes[0].get(side) for side in ("width", "height")] == root.get("viewBox").split()[2:]


def test_static_files_named_by_the_config_exist():
    config = read_yaml("_config.yml")["sphinx"]
    for name in config["config"]["html_css_files"] + config["config"]["html_js_files"]:
        assert (BOOK / "_static" / name).is_file()


def test_nothing_static_is_loaded_from_the_network():
    for path in (BOOK / "_static").glob("*.*"):
        if path.suffix in {".css", ".js"}:
            assert not re.search(r"https?://|@import", path.read_text(encoding="utf-8")), path.name


def test_prose_types_no_auc():
    for path in PROSE:
        numbers = re.findall(r"(?<![\d.^{,])0\.\d{2,}", path.read_text(encoding="utf-8"))
        assert not numbers, f"{path.name}: {numbers}"
