"""The documents about the house name files, tests and layers that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import provmode

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    path
    for path in map(ROOT.joinpath, ("SECURITY.md", "docs/architecture.md", "CONTRIBUTING.md", "docs/README.md"))
    if path.exists()
]
PATH = re.compile(r"`((?:provmode|facts|operations|deploys|tests|docs|inventories|benchmarks)/[^`\s*<>]+)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def missing_paths(text: str) -> list[str]:
    """Return the paths in backticks that are not in the checkout."""
    return [path for path in PATH.findall(text) if not (ROOT / path.partition("::")[0]).exists()]


def missing_tests(text: str) -> list[str]:
    """Return the names of tests in backticks that no file under ``tests/`` defines."""
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", sources, re.MULTILINE))
    return [name for name in re.findall(r"`(test_\w+)`", text) if name not in defined]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_named_is_there(document: Path) -> None:
    assert missing_paths(document.read_text("utf-8")) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text("utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_test_that_the_threat_model_names_is_defined() -> None:
    assert missing_tests((ROOT / "SECURITY.md").read_text("utf-8")) == []


def test_a_name_that_is_gone_is_found() -> None:
    assert missing_paths("`provmode/text.py`, `provmode/gone.py`, `tests/gone/`") == ["provmode/gone.py", "tests/gone/"]
    assert missing_tests("`test_a_name_that_is_gone_is_found` and `test_that_is_gone`") == ["test_that_is_gone"]


def test_the_drawing_has_the_layers_of_the_map_in_the_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawn = re.findall(r"^([a-z]+) {2,}", text.split("```")[1], re.MULTILINE)
    rooms = [line.split("``")[1].rstrip("/") for line in (provmode.__doc__ or "").splitlines() if line[:4] == "* ``"]
    ground = {path.stem for path in (ROOT / "provmode").glob("*.py")} - {"__init__", "__main__", "api"}
    layers = [room for room in rooms if room not in ground]

    assert drawn == ["deploys", "operations", "facts", *layers[:-1], "ground", layers[-1]]
    for name in ground:
        assert re.search(rf"^ground .*\b{name}\b", text, re.MULTILINE), name
