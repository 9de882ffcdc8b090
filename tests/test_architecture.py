"""The structure that everything else leans on, held by the code's own imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(file for package in ("knowledge", "builder", "ui") for file in (ROOT / package).rglob("*.py"))
BELOW = {"knowledge": {"knowledge"}, "builder": {"builder", "knowledge"}, "ui": {"ui", "builder", "knowledge"}}
HOMES = {"faiss": {"knowledge/vectors.py"},
         "torch": {"knowledge/encoder_export.py", "knowledge/cross_encoder.py", "builder/training/",
                   "builder/reference.py"},
         "peft": {"builder/training/", "builder/reference.py"},
         "xllamacpp": {"builder/engine.py"}, "openvino": {"builder/openvino.py"},
         "openvino_genai": {"builder/openvino.py"},
         "transformers": {"builder/training/", "builder/reference.py"}}


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_run_one_way_and_heavy_libraries_have_one_home(file):
    place = file.relative_to(ROOT).as_posix()
    package = place.split("/")[0]
    for name in imports(file):
        assert name not in BELOW or name in BELOW[package], f"{place} imports {name}"
        assert name not in HOMES or any(map(place.startswith, HOMES[name])), f"{place} imports {name}"
        assert name != "streamlit" or package == "ui", f"{place} imports streamlit"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_are_short_and_say_their_job(file):
    assert len(file.read_text().splitlines()) <= 300
    assert ast.get_docstring(ast.parse(file.read_text()))


def test_the_readme_lists_every_file():
    readme = (ROOT / "README.md").read_text()
    places = [file.relative_to(ROOT).as_posix() for file in FILES if file.name != "__init__.py"]
    assert [place for place in places if f"`{place}`" not in readme] == []
