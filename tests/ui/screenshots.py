"""The README's pictures: pages of a built workspace as Chromium draws them, written to docs/. `make screenshots`."""

import sys
from pathlib import Path

from builder.evaluation.report import last_report
from builder.workspace.folder import Workspace
from tests.ui.browser import Tab, chromium, serving, tab

DOCS = Path(__file__).parents[2] / "docs" / "pictures"
SIZE, TALL = {"width": 1280, "height": 900}, {"width": 1280, "height": 1200}


def main(folder: Path) -> None:
    """Draw the home page, a reply with its sources, the four systems and the report.

    The question is the first that hybrid answered rightly when it was judged: pictures show what a page is for, and the
    report how often it goes so.
    """
    rows = last_report(Workspace(folder)).rows
    asked = next(row.question for row in rows if row.replies["hybrid"].scores["facts"] == 1)
    with chromium() as browser, serving(folder) as app, tab(browser, app, size=SIZE) as seen:
        seen.open()
        picture(seen, "home")
        conversation(seen, asked, "chat")
        seen.open("compare")
        seen.page.get_by_label("Question", exact=True).fill(asked)
        seen.page.keyboard.press("Enter")
        seen.page.get_by_text("Passages found").first.wait_for()
        seen.page.get_by_role("heading").first.click()
        picture(seen, "compare")
        seen.page.set_viewport_size(TALL)
        seen.open("report")
        picture(seen, "report")


def conversation(seen: Tab, question: str, name: str) -> None:
    """A question and its reply, with what it rests on laid open."""
    seen.open("chat")
    reply = seen.ask(question)
    reply.locator("summary").first.click()
    reply.locator("details[open]").get_by_test_id("stText").first.wait_for()
    seen.page.get_by_test_id("stChatMessage").first.evaluate(  # below the menu, which lies over the page
        "one => { one.style.scrollMarginTop = '80px'; one.scrollIntoView(); }")
    picture(seen, name)


def picture(seen: Tab, name: str) -> None:
    """What is in sight, once it is drawn and the pointer is away."""
    seen.settle()
    seen.page.mouse.move(0, 0)
    seen.page.screenshot(path=DOCS / f"{name}.png", animations="disabled")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
