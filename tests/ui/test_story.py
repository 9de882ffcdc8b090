"""The story of an assistant through real Chromium: made, fed, built, asked, released, and bettered."""

import http.client
import json
import re
from urllib.parse import urlsplit

import pytest

from builder.workspace import releases
from builder.workspace.folder import Workspace
from builder.workspace.progress import read_progress
from knowledge.files import read_json
from tests.conftest import SECTIONS
from tests.ui.browser import serving, tab

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
REMOTE = "![x](https://evil.example/p.png) <img src=https://evil.example/q.png>"
NASTY = "<img src=x onerror=alert(3)> ![x](https:evil.example).md"
HOUSE = "# Lamp house\n\n" + "\n\n".join(f"## {name}\n\n{body}" for name, body in SECTIONS.items())
HOSTILE = f"# Postcards\n\nPostcards of the {SCRIPT} old mill cost 2 euros. {REMOTE}\n"


def write(seen, label, text):
    seen.page.get_by_label(label, exact=True).fill(text)


def press(seen, label):
    """Press the one button of this name, as soon as there is one that can be pressed."""
    seen.page.get_by_role("button", name=re.compile(rf"(^|\s){re.escape(label)}$")).first.click()


def says(seen, text):
    """Wait until it is to be read on the page."""
    seen.page.get_by_test_id("stAppViewContainer").get_by_text(text).first.wait_for()
    seen.check()


def upload(seen, files):
    """Add documents as from the reader's disk."""
    seen.visit("Documents")
    seen.page.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "text/markdown", "buffer": text.encode()} for name, text in files.items()])
    seen.page.get_by_test_id("stFileChip").nth(len(files) - 1).wait_for()
    seen.page.get_by_test_id("stFileChipIconSpinner").first.wait_for(state="detached")
    press(seen, "Add")
    says(seen, f"{len(files)} of {len(files)} files added.")


def build(seen, here, name):
    """Build on the page, until the release of this name is made."""
    seen.visit("Build")
    press(seen, "Build")
    says(seen, "Building: ")
    seen.page.get_by_text("Building: ").wait_for(state="detached", timeout=240_000)
    says(seen, "The last build")
    assert releases.release_names(here)[-1] == name and read_progress(here).state == "finished"


def taught(here):
    """How many examples the last adapter learnt from, those that rest on a passage and the others."""
    rows = read_json(here.current().adapter / "training.json")["rows"]
    return rows["grounded"] + rows["tone"]


@pytest.fixture(scope="module")
def empty(browser, tmp_path_factory):
    """The app on a folder that holds no assistant yet."""
    folder = tmp_path_factory.mktemp("home") / "assistants"
    folder.mkdir()
    with serving(folder) as app:
        yield folder, app


def test_an_assistant_is_made_fed_built_asked_and_released_without_a_terminal(browser, empty):
    folder, app = empty
    with tab(browser, app) as seen:
        seen.open()
        write(seen, "Name", "Lamp <b>House</b>")
        write(seen, "Who is the assistant, and how does it speak?", f"You answer for a shop. {SCRIPT}")
        press(seen, "Create")
        seen.settle("Documents")
        here = Workspace(next(folder.glob("lamp*")))
        with (here.folder / "brand.yaml").open("a") as brand:
            brand.write("model: {reply_tokens: 24, context: 1024}\n")  # a short reply tells as much here

        upload(seen, {"house.md": HOUSE, NASTY: HOSTILE})
        build(seen, here, "r001")
        seen.visit("Documents")
        says(seen, "2 documents in 11 passages.")
        seen.choose("Show passages of", NASTY)
        says(seen, SCRIPT)
        says(seen, REMOTE)

        seen.visit("Chat")
        reply = seen.ask("What do postcards of the old mill cost?")
        reply.locator("summary").filter(has_text="Postcards").click()
        reply.locator("details[open]").get_by_text(SCRIPT).first.wait_for()

        seen.visit("Releases")
        press(seen, "Promote")
        says(seen, "r001 answers.")
        upload(seen, {"more.md": "# Clocks\n\nWe also mend clocks, in about 12 days.\n"})
        build(seen, here, "r002")
        seen.visit("Releases")
        press(seen, "Promote")
        says(seen, "r002 answers.")
        press(seen, "Roll back")
        says(seen, "r001 answers.")
        assert releases.live_name(here) == "r001"


def test_replies_are_compared_blind_and_what_people_say_goes_into_the_next_build(browser, served, lamps):
    with tab(browser, served) as seen, tab(browser, served) as other:
        seen.open()
        seen.visit("Chat")
        reply = seen.ask("How wide can a linen shade be?")
        reply.get_by_role("button", name=re.compile("Write a better reply")).click()
        write(seen, "Better reply", "Hello! From 20 to 60 centimetres, cut by hand. Shine on!")
        press(seen, "Save")
        says(seen, "Saved.")

        seen.visit("Compare")
        write(seen, "Question", "What cable do you use?")
        seen.page.get_by_text("Hide the system names").click()
        press(seen, "Ask all")
        says(seen, "Which reply is best?")
        assert not seen.page.get_by_test_id("stAppViewContainer").get_by_text("hybrid", exact=True).count()
        press(seen, "B")
        says(seen, "Blind choices so far")
        says(seen, "hybrid")

        seen.visit("Feedback")
        card = seen.page.get_by_test_id("stVerticalBlock").filter(has=seen.page.locator(
            'input[value="How wide can a linen shade be?"]')).last
        card.get_by_role("button", name=re.compile("Use as example")).click()
        says(seen, "Saved as an example.")
        last = json.loads((lamps.folder / "examples.jsonl").read_text().splitlines()[-1])
        assert last["messages"][-1]["content"] == "Hello! From 20 to 60 centimetres, cut by hand. Shine on!"

        seen.visit("Build")
        press(seen, "Build")
        says(seen, "Building: ")
        seen.page.reload()
        says(seen, "Building: ")
        other.open("build")
        says(other, "Building: ")
        press(other, "Stop")
        says(seen, "The last build was stopped")
        says(other, "The last build was stopped")

        before = taught(lamps)
        press(seen, "Build")
        says(seen, "Building: check")  # what follows the training, which is all that the example changes
        assert taught(lamps) == before + 1
        press(seen, "Stop")
        says(seen, "The last build was stopped")


def test_a_file_that_is_too_large_is_refused_by_the_page_and_by_the_server(tab, served, tmp_path):
    large = tmp_path / "large.md"
    with large.open("wb") as file:
        file.truncate(300_000_000)
    tab.open("documents")
    tab.page.locator("input[type=file]").set_input_files(large)
    says(tab, re.compile("must be .* or smaller"))

    with tab.page.expect_request("**/upload_file/**") as sent:
        tab.page.locator("input[type=file]").set_input_files(
            {"name": "small.md", "mimeType": "text/markdown", "buffer": b"# Small"})
    connection = http.client.HTTPConnection(urlsplit(served.address).netloc, timeout=30)
    connection.putrequest(sent.value.method, urlsplit(sent.value.url).path, skip_host=True, skip_accept_encoding=True)
    for name, value in (sent.value.all_headers() | {"content-length": str(300_000_000)}).items():
        if not name.startswith(":"):
            connection.putheader(name, value)
    connection.endheaders()  # its head alone: it is refused before a byte of it is read
    refused = connection.getresponse()
    assert refused.status == 413, refused.read()
