import re
from pathlib import Path

from typer.main import get_command

from builder.workspace.brand import Brand
from ui.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_is_in_the_readme_and_every_command_there_exists():
    known = set(get_command(app).commands)
    told = set(re.findall(r"twofold ([a-z]+)", README))
    assert known - told - {"rollback", "releases"} == set() and told <= known
    assert "rollback undoes it" in README and "releases lists them" in README


def test_every_make_target_there_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)\s", README)) - {"are"} <= targets


def test_the_langchain_example_runs(built, monkeypatch):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    names = {}
    exec(code.replace('Path("demo")', "FOLDER"), {"FOLDER": built.folder}, names)
    content, sources = names["chain"].invoke("When do parcels leave the warehouse?")
    assert content and sources[0]["document"] == "documents/house.md"
    assert names["passages"].invoke("parcels")[0].metadata["source"] == "documents/house.md"


def test_pictures_and_files_named_there_exist():
    for name in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"^\| `([\w/.]+\.py)`", README, re.MULTILINE):
        assert (ROOT / name).is_file(), name


def test_a_brand_of_name_persona_and_abstention_is_complete():
    assert "only `question` is a must" in README
    assert Brand(name="x", persona="y", abstain="z").training.epochs >= 1
