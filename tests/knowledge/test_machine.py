import subprocess
import sys


def test_the_peak_counts_what_was_held_and_given_back():
    code = """
from knowledge.machine import peak_memory
before = peak_memory()
held = b"x" * 300_000_000
most = peak_memory()
del held
print(most - before, peak_memory() - most)
"""
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    grown, later = map(int, made.split())
    assert grown > 200_000_000 and later > -4_000_000  # the kernel counts pages in lots
