"""What import-linter does not check: importing stays quick, and every file says its job."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("knowledge", "builder", "ui", "benchmarks")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
HEAVY = {"faiss", "langchain_core", "peft", "sentence_transformers", "sklearn", "streamlit", "torch", "transformers",
         "xllamacpp"}


def test_every_file_says_its_job():
    assert [file for file in FILES if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))] == []


def test_the_command_line_and_knowledge_load_no_heavy_library():
    code = "import sys, knowledge, ui.cli.main; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY & set(loaded) == set()


def test_threads_wait_asleep_before_anything_computes():
    code = "import os, sys, builder; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PATH": "", "PYTHONPATH": str(ROOT)})
    assert done.stdout.split() == ["passive", "False"]


def test_every_fault_in_the_list_still_has_its_test():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "tests" / "FAULTS.md").read_text(encoding="utf-8"))
    assert len(named) > 50
    assert [(file, test) for file, test in named if not re.search(
        rf"^(async )?def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)] == []
