"""What README and docs/ say is so: commands parse, snippets run, links lead somewhere, everything is documented."""

import doctest
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from builder.workspace.brand import Brand, read_brand
from builder.workspace.examples import read_questions
from ui.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TWOFOLD = get_command(app)
PARSER = doctest.DocTestParser()


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, language=""):
    fences = re.findall(r"^```([a-z]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for kind, text in fences if kind == language]


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page):
    """Every `twofold …` that a page shows in a block."""
    for text in (*blocks(page), *blocks(page, "sh")):
        yield from (line for line in text.splitlines() if line.startswith("twofold "))


def parsed(words):
    """Parse a command line as the program would, without running it."""
    known = TWOFOLD.commands
    assert words and words[0] in known, f"no such command: {words}"
    return known[words[0]].make_context(words[0], list(words[1:])).command.name


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_line_parses(page):
    for line in commands(page):
        parsed(shlex.split(line, comments=True)[1:])


def test_the_generated_pages_are_those_of_the_code():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    for page, write in reference.PAGES.items():
        assert write() == (ROOT / "docs" / page).read_text(encoding="utf-8"), "run make docs"
    read = "".join(path.read_text(encoding="utf-8") for folder in ("knowledge", "builder", "ui")
                   for path in (ROOT / folder).rglob("*.py"))
    assert set(re.findall(r'"(TWOFOLD_[A-Z_]+)"', read)) <= reference.VARIABLES.keys()


def test_every_setting_and_option_says_what_it_does():
    for page in ("settings.md", "commands.md"):
        rows = re.findall(r"^\| `(.+)` \|(.*)\|$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
        lacking = [name for name, cells in rows if not cells.rsplit("|", 1)[-1].strip()]
        assert len(rows) > 30 and lacking in ([], ["QUESTION <str>"], ["NAME <str>"]), lacking


def test_every_command_is_shown_somewhere():
    shown = {parsed(shlex.split(line, comments=True)[1:]) for page in PAGES for line in commands(page)}
    assert set(TWOFOLD.commands) - shown <= {"demo", "serve", "export"}
    readme = PAGES[0].read_text(encoding="utf-8")
    assert "make demo" in readme and "twofold serve" in readme and "twofold export" in readme


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        assert "://" not in target, f"{target}: pages link to nothing outside"
        linked = (page.parent / path) if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_and_files_named_there_exist(page):
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", text, re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))}
    for path in re.findall(r"`((?:knowledge|builder|ui|tests|docs|benchmarks)/[\w/.*-]+)`", text):
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_python_examples_give_what_they_show():
    page = ROOT / "docs" / "statistics.md"
    run = doctest.DocTestRunner()
    run.run(PARSER.get_doctest(page.read_text(encoding="utf-8"), {}, name(page), str(page), 0))
    assert run.summarize(verbose=False).failed == 0 and run.tries >= 10


def test_the_langchain_example_runs(built):
    code, = blocks(ROOT / "docs" / "how-it-works.md", "python")
    names = {}
    exec(code.replace('Path("demo")', "FOLDER"), {"FOLDER": built.folder}, names)
    content, sources = names["chain"].invoke("When do parcels leave the warehouse?")
    assert content and sources[0]["document"] == "documents/house.md"
    assert names["passages"].invoke("parcels")[0].metadata["source"] == "documents/house.md"


def test_files_shown_are_read_as_they_stand(tmp_path):
    shown = [text for page in PAGES for text in blocks(page, "yaml")]
    assert len(shown) >= 2
    for text in shown:
        (tmp_path / "brand.yaml").write_text(text, encoding="utf-8")
        assert read_brand(tmp_path / "brand.yaml").name
    lines, = blocks(ROOT / "docs" / "how-to" / "judging.md", "json")
    (tmp_path / "questions.jsonl").write_text(lines, encoding="utf-8")
    assert len(read_questions(tmp_path / "questions.jsonl")) == 2


def test_the_readme_is_short_and_three_lines_make_a_brand():
    readme = PAGES[0].read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 200
    assert Brand(name="x", persona="y", abstain="z").training.epochs >= 1


@pytest.mark.thorough
def test_the_tutorial_runs(tmp_path):
    start = f'set -e\ntwofold() {{ {shlex.quote(sys.executable)} -m ui.cli "$@"; }}\n'
    script = start + "\n".join(blocks(ROOT / "docs" / "tutorial.md", "sh"))
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=900,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-2000:]
    assert "33 days" in done.stdout and "r001" in done.stdout
