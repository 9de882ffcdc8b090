"""Silence that ends: whatever overlaps, the terminal is back afterwards."""

import sys
import threading

from knowledge.quiet import quiet


def test_after_two_overlapping_silences_there_is_a_terminal_again(capsys):
    inside, go_on = threading.Event(), threading.Event()

    def first():
        with quiet():
            print("lost")
            inside.set()
            go_on.wait(10)

    def second():
        inside.wait(10)
        threading.Timer(0.05, go_on.set).start()
        with quiet():  # begun within the first, ended after it
            print("lost too", file=sys.stderr)

    threads = [threading.Thread(target=work) for work in (first, second)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    print("said")
    print("warned", file=sys.stderr)
    assert capsys.readouterr() == ("said\n", "warned\n")
