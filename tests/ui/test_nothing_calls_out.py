"""Nothing leaves the machine: what the browser asks for on every page, and whom the server's process calls."""

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import write_workspace
from tests.ui import browser as browsing

WATCHER = Path(__file__).parent / "watcher"
"""Its sitecustomize.py makes every Python process note each connection and each name that is looked up."""
HERE = {"localhost", "127.0.0.1", "::1", "", None}
LOGO = """<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'><circle cx='32' cy='32' r='30'/>
<image href='https://evil.example/a.png'/><script>fetch('https://evil.example/b')</script></svg>"""
NAMED = "ones => ones.map(one => new URL(one.href || one.src, location).hostname)"


@pytest.fixture(scope="module")
def watched(browser, tmp_path_factory):
    """An app over a workspace that isn't built, and the file that holds whom its processes call."""
    folder = write_workspace(tmp_path_factory.mktemp("watched") / "lamps")
    (folder / "logo.svg").write_text(LOGO)
    with (folder / "brand.yaml").open("a") as file:
        file.write("logo: logo.svg\n")
    calls = folder.parent / "calls.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(WATCHER))
        patch.setenv("TWOFOLD_TESTS_CALLS", str(calls))
        with browsing.serving(folder) as app:
            yield app, calls


def outward(calls):
    """Each call to, or question for, anything but this machine."""
    noted = [json.loads(line) for line in calls.read_text().splitlines()]
    assert [event for event, _ in noted if event == "socket.bind"], "the watcher isn't there"
    return [(event, host) for event, host in noted if event != "socket.bind" and host not in HERE]


def test_no_page_asks_for_anything_but_what_its_own_server_holds(browser, watched):
    app, calls = watched
    asked = []
    with browsing.tab(browser, app) as tab:
        tab.page.on("request", lambda request: asked.append(request.url))
        tab.page.on("websocket", lambda one: asked.append(one.url))
        tab.open()
        pages = tab.titles()
        for title in pages:
            tab.visit(title)
            assert tab.page.get_by_test_id("stHeaderLogo").evaluate("one => one.complete && one.naturalWidth > 0")
            assert set(tab.page.locator("link[href], script[src], img[src]").evaluate_all(NAMED)) == {"localhost", ""}
    assert len(pages) >= 7
    origins = {(urlsplit(address).scheme, urlsplit(address).netloc) for address in asked}
    own = urlsplit(app.address).netloc
    assert origins - {("data", ""), ("blob", "")} == {("http", own), ("ws", own)}
    assert outward(calls) == []


def test_the_server_calls_nobody_while_it_loads_a_model_and_answers(browser, watched):
    app, calls = watched
    with browsing.tab(browser, app) as tab:
        tab.open("chat")
        tab.page.get_by_test_id("stChatInputTextArea").fill("When do parcels leave?")
        tab.page.keyboard.press("Enter")
        tab.page.get_by_test_id("stCaptionContainer").filter(has_text="tokens").wait_for()
    assert outward(calls) == []


def handshake(app, host, origin):
    """The first line that the server answers to a page of `origin` that wants to talk to it as `host`."""
    port = urlsplit(app.address).port
    with socket.create_connection(("localhost", port), timeout=30) as wire:
        wire.sendall("\r\n".join([
            "GET /_stcore/stream HTTP/1.1", f"Host: {host.format(port)}", f"Origin: {origin.format(port)}",
            "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: streamlit", "", ""]).encode())
        return wire.recv(4096).decode(errors="replace").splitlines()[0]


@pytest.mark.parametrize(("host", "origin", "heard"), [
    ("localhost:{}", "http://localhost:{}", True), ("127.0.0.1:{}", "http://127.0.0.1:{}", True),
    ("localhost:{}", "https://evil.example", False),
    # A website that has its own name lead to this machine, once its page is loaded.
    ("evil.example:{}", "http://evil.example:{}", False)])
def test_the_page_of_a_website_is_not_heard_and_nobody_is_asked_about_it(watched, host, origin, heard):
    app, calls = watched
    assert handshake(app, host, origin).split()[1] == ("101" if heard else "403")
    assert outward(calls) == []
