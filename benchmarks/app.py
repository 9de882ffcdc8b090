"""How quick the app is: the real app on a real workspace, looked at through real Chromium. Prints a Markdown table.

Run with `make bench-app`, on a quiet machine; `DIR=FOLDER` names a built workspace, else the demo's is built. Times are
medians of five, taken within the browser, from the click or key to what is then painted.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from builder.workspace.folder import Workspace
from tests.ui.browser import DONE, App, NoBrowserError, Tab, chromium, serving, tab

TIMES = 5
PAGE, TOKEN = 1.0, 1.5
"""Seconds that a page and the first token may take."""
PAINTED = f"""async (link, begins) => {{
    const done = {DONE}, begun = performance.now();
    link.click();
    while (!(document.querySelector('h1') && done(begins)))
        await new Promise(requestAnimationFrame);
    return (performance.now() - begun) / 1000;
}}"""
FIRST_TOKEN = """new Promise(resolve => {
    const field = document.querySelector('[data-testid="stChatInputTextArea"]');
    const turns = () => [...document.querySelectorAll('[data-testid="stChatMessage"]')];
    const before = turns().length;
    let begun = 0;
    const look = () => {
        const text = turns().length >= before + 2 && turns().at(-1).querySelector('[data-testid="stText"]');
        if (text && text.innerText.trim()) resolve((performance.now() - begun) / 1000);
        else requestAnimationFrame(look);
    };
    field.addEventListener('keydown', event => {
        if (event.key === 'Enter') { begun = performance.now(); look(); }
    }, {once: true, capture: true});
})"""
"""Kept once the reply to what is about to be sent shows its first text."""
Row = tuple[str, str, str]


def main() -> None:
    """Measure, and print the table; where there is no browser, say so."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    if not (folder / ".twofold" / "current.json").is_file():
        subprocess.run([sys.executable, "-m", "ui.cli", "demo", str(folder), "--no-app"],
                       check=True)
    try:
        with chromium() as browser, serving(folder) as app:
            made = list(_rows(browser, app, Workspace(folder)))
    except NoBrowserError as error:
        sys.exit(f"bench_app: {error}")
    for row in [("What", "Measured", "Target"), ("---", "---", "---"), *made]:
        sys.stdout.write(f"| {' | '.join(row)} |\n")


def _rows(browser: Any, app: App, workspace: Workspace) -> Iterator[Row]:
    """One line of the table after the other, from a visitor's first look to the server's memory."""
    asked = [question.question for question in workspace.questions if question.answerable]
    with tab(browser, app) as seen:
        seen.open("chat")
        _first_token(seen, asked[0])  # loads the engine
        first, again = zip(*(_fresh(browser, app) for _ in range(TIMES)), strict=True)
        yield ("The first visit, Streamlit's scripts fetched", *_against(first))
        yield ("Home, by its address", *_against(again, PAGE))
        titles = seen.titles()
        for title in titles:
            away = next(other for other in titles if other not in (title, "Chat"))
            yield (f"{title}, by a click", *_against([_visited(seen, title, away) for _ in range(TIMES)], PAGE))
        seen.visit("Chat")
        tokens = list(islice(filter(None, (_first_token(seen, question) for question in asked[1:])), TIMES))
        yield ("First token of a reply", *_against(tokens, TOKEN))
    yield ("The server's process imports torch", "yes" if _holds_torch(app.process) else "no", "no")
    yield ("Its memory", f"{_memory(app.process) / 1e6:,.0f} MB", "")


def _against(seconds: Sequence[float], target: float | None = None) -> tuple[str, str]:
    """The median of some times, the longest of them, and what is wished, if anything."""
    said = f"{median(seconds):.2f} s (at most {max(seconds):.2f})" if seconds else "nothing to measure"
    return said, f"< {target} s" if target else ""


def _fresh(browser: Any, app: App) -> tuple[float, float]:
    """Seconds from an empty tab to the whole first page, with a browser that has cached nothing, and then once more."""
    def loaded() -> float:
        seen.open()
        seconds: float = seen.page.evaluate("performance.now() / 1000")
        return seconds

    with tab(browser, app) as seen:
        return loaded(), loaded()


def _visited(seen: Tab, title: str, away: str) -> float:
    """Seconds from the click on a page's name, on another page, to the whole page."""
    seen.visit(away)
    with seen.link(title) as link:
        seconds: float = link.evaluate(PAINTED, title)
    seen.check()
    return seconds


def _first_token(seen: Tab, question: str) -> float | None:
    """Seconds from sending a question to the first of its reply; None where nothing was written but an abstention."""
    field = seen.page.get_by_test_id("stChatInputTextArea")
    field.fill(question)
    seen.page.evaluate(f"() => {{ window.first = {FIRST_TOKEN}; }}")
    field.press("Enter")
    seconds: float = seen.page.evaluate("window.first")
    last = seen.page.get_by_test_id("stChatMessage").last
    last.get_by_test_id("stCaptionContainer").filter(has_text=" tokens").wait_for()
    seen.settle()
    return None if last.get_by_text("abstained", exact=True).count() else seconds


def _holds_torch(process: int) -> bool:
    return "libtorch" in Path(f"/proc/{process}/maps").read_text()


def _memory(process: int) -> int:
    """Bytes that a process holds now."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    main()
