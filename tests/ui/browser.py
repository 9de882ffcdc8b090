"""The app as a person meets it: a process that serves a workspace, and a tab of real Chromium that looks at it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Dialog, Locator, Page

LACKS = ("no browser, so nothing is looked at through one; `apt-get install chromium` or "
         "`.venv/bin/playwright install chromium` brings it")
QUIET = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--no-first-run"]
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SETTLED = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
EXCEPTION = '[data-testid="stException"]'
DONE = f"""begins => document.querySelector('{EXCEPTION}') || document.title.startsWith(begins)
    && document.querySelector('{SETTLED}')
    && !document.querySelector('[data-stale="true"], [data-testid="stSpinner"], [data-testid="stSkeleton"]')"""
HERE = {"localhost", "127.0.0.1", None}  # data: and blob: have no host
STARTS, ANSWERS = 60, 120
"""Seconds that the server may take to start, and a page to be done: generous, for a busy machine."""


class NoBrowserError(Exception):
    """Neither Chromium on the PATH nor Playwright's own."""


@dataclass(frozen=True)
class App:
    """A running app: its address, and the process that serves it."""

    address: str
    process: int


@contextmanager
def serving(folder: Path) -> "Iterator[App]":
    """Run `twofold app FOLDER` on a free port until the block ends; RuntimeError with its output if it never answers.

    No display is named to it, or it would show itself to whoever sits there.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ui.cli", "app", str(folder), "--port", str(port)]
    shown = {"DISPLAY", "WAYLAND_DISPLAY"}
    surroundings = {name: value for name, value in os.environ.items() if name not in shown} | {"HF_HUB_OFFLINE": "1"}
    log = folder.parent / f"{folder.name}.app.log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                                   env=surroundings)
    try:
        _until_it_answers(f"http://localhost:{port}/_stcore/health", process, log)
        yield App(f"http://localhost:{port}", process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + STARTS
    while time.monotonic() < ends and process.poll() is None:
        try:
            with urlopen(address, timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"the app never answered: {log.read_text(errors='replace')}")


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Chromium without a window: the one on the PATH, else Playwright's own; NoBrowserError where there is none."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise NoBrowserError(f"Playwright is not installed: {LACKS}") from error
    with sync_playwright() as driver:
        place = shutil.which("chromium") or driver.chromium.executable_path
        if not Path(place).exists():
            raise NoBrowserError(LACKS)
        sandbox = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []  # root has no sandbox
        try:
            browser = driver.chromium.launch(executable_path=place, args=[*QUIET, *sandbox])
        except Error as error:  # such as a library that it lacks
            raise NoBrowserError(f"{place} doesn't start: {error.message.splitlines()[0]}; {LACKS}") from error
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A tab with a session of its own on an app, and all that went wrong in it."""

    page: "Page"
    address: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen for what no page may do: call outside, open a dialog, fail in its own script."""
        self.page.set_default_timeout(1000 * ANSWERS)
        self.page.on("request", lambda request: self._called(request.url))
        self.page.on("websocket", lambda socket: self._called(socket.url))
        self.page.on("dialog", self._spoke)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))

    def _called(self, address: str) -> None:
        if urlsplit(address).hostname not in HERE:
            self.wrong.append(f"called {address}")

    def _spoke(self, dialog: "Dialog") -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, path: str = "") -> None:
        """Load a page as from a link, and wait until it is drawn."""
        self.page.goto(f"{self.address}/{path}")
        self.page.locator(f"h1, {EXCEPTION}").first.wait_for()
        self.settle()

    def titles(self) -> list[str]:
        """The pages that the menu lists, in its order; the window must be wide."""
        listed = self._names("stTopNavLink")
        for section in self._names("stTopNavSection"):
            with self._opened(section):
                listed += self._names("stTopNavDropdownLink")
        return listed

    def visit(self, title: str) -> None:
        """Go to another page by a click on its name, and wait until it is drawn; the window must be wide."""
        with self.link(title) as link:
            link.click()
        self.settle(title)

    @contextmanager
    def link(self, title: str) -> "Iterator[Locator]":
        """The link to a page, in sight: where it lies in a section of the menu, that is open until the block ends."""
        name = self.page.get_by_text(title, exact=True)
        above = self.page.get_by_test_id("stTopNavLink").filter(has=name)
        if above.count():
            yield above
            return
        for section in self._names("stTopNavSection"):
            with self._opened(section):
                if (below := self.page.get_by_test_id("stTopNavDropdownLink").filter(has=name)).count():
                    yield below
                    return
        raise AssertionError(f"the menu has no page {title}")

    @contextmanager
    def _opened(self, section: str) -> "Iterator[None]":
        links = self.page.get_by_test_id("stTopNavDropdownLink")
        self.page.get_by_test_id("stTopNavSection").filter(has_text=section).click()
        links.first.wait_for()
        yield
        if links.count():
            self.page.keyboard.press("Escape")
        links.first.wait_for(state="detached")

    def _names(self, kind: str) -> list[str]:
        self.page.get_by_test_id("stTopNavLink").first.wait_for()
        return [" ".join(text.split()) for text in self.page.get_by_test_id(kind).all_inner_texts()]

    def ask(self, question: str) -> "Locator":
        """Ask on the page Chat, which must be open; the reply, once it is whole."""
        turns = self.page.get_by_test_id("stChatMessage")
        before = turns.count()
        self.page.get_by_test_id("stChatInputTextArea").fill(question)
        self.page.keyboard.press("Enter")
        reply = turns.nth(before + 1)
        reply.get_by_test_id("stCaptionContainer").filter(has_text=" tokens").wait_for()
        self.settle()
        return reply

    def choose(self, label: str, option: str) -> None:
        """Choose from a list; it is brought in sight first, since it closes when the page scrolls below it."""
        box = self.page.get_by_label(label)
        box.scroll_into_view_if_needed()
        self.settle()
        box.click()
        self.page.get_by_role("option", name=option).click()

    def settle(self, begins: str = "") -> None:
        """Wait until the page, whose title in the browser begins so, is drawn to its end; see that nothing failed."""
        self.page.wait_for_function(DONE, arg=begins)
        self.check()

    def check(self) -> None:
        """AssertionError if the page shows an exception, or did anything that no page may do."""
        broken = self.page.locator(EXCEPTION).all_inner_texts()
        assert not broken and not self.wrong, [*broken, *self.wrong]


@contextmanager
def tab(browser: "Browser", app: App, scheme: str = "light", size: dict[str, int] = WIDE) -> "Iterator[Tab]":
    """A fresh tab, as of a new visitor; nothing is loaded yet. What went wrong in it is told at its end."""
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    made = Tab(context.new_page(), app.address)
    try:
        yield made
        made.check()
    except Exception as error:
        error.add_note(f"the page at {made.page.url} then read:\n{made.page.locator('body').inner_text()}")
        raise
    finally:
        context.close()
