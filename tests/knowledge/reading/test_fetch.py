"""Pages come from public addresses alone, whatever a redirect says; here a server of our own stands for them."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from knowledge.reading import fetch as module
from knowledge.reading.documents import read_documents
from knowledge.reading.fetch import fetch, fetched, is_public, read_urls


class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/to"):
            self.send_response(302)
            self.send_header("Location", {"/to-page": "/page", "/to-loop": "/to-loop", "/to-file": "file:///etc/passwd",
                                          "/to-inside": "http://169.254.169.254/latest"}[self.path])
            self.end_headers()
            return
        kind, body = {"/page": ("text/html; charset=utf-8", b"<h1>Hours</h1><p>Open daily.</p>"),
                      "/picture": ("image/png", b"\x89PNG"), "/large": ("text/plain", b"x" * 3000)}.get(
            self.path, ("text/html", b""))
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()


def local(address):
    return address == "127.0.0.1"


@pytest.mark.parametrize("path", ["/page", "/to-page"])
def test_a_page_is_brought_and_read(server, tmp_path, path):
    url = server + path
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "pages.urls").write_text(f"# our pages\n{url}\n\nftp://x.example/\n")
    documents, failures = read_documents(tmp_path)
    assert documents == [] and {failure.document for failure in failures} == {url, "documents/pages.urls"}
    assert fetch([url], tmp_path / ".twofold" / "fetched", is_allowed=local) == []
    [document], [failure] = read_documents(tmp_path)
    assert (document.path, document.text.strip()) == (url, "# Hours\n\nOpen daily.")
    assert "line 4" in failure.reason


@pytest.mark.parametrize("path, reason", [
    ("/to-loop", "more than 5 times"), ("/to-inside", "private address"), ("/to-file", "no http or https"),
    ("/picture", "image/png"), ("/nothing", "status 404"), ("/large", "larger than")])
def test_what_is_refused_leaves_nothing(server, tmp_path, monkeypatch, path, reason):
    monkeypatch.setattr(module, "LARGEST", 2000)
    [(url, said)] = fetch([server + path], tmp_path, is_allowed=local)
    assert url == server + path and reason in said
    assert fetched(tmp_path, url) is None


def test_this_machine_is_never_asked(server, tmp_path):
    assert "private address" in fetch([f"{server}/page", f"{server.replace('127.0.0.1', 'localhost')}/page"],
                                      tmp_path)[1][1]


@pytest.mark.parametrize("address, public", [
    ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("192.168.1.1", False),
    ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False),
    ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True),
    ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False)])
def test_public_addresses(address, public):
    assert is_public(address) is public


@pytest.mark.parametrize("line", ["file:///etc/passwd", "javascript:alert(1)", "https://", "http://a b.example/",
                                  "https://me:secret@a.example/", "http://a.example:99999/", "no address"])
def test_other_addresses_are_refused_with_their_line(line):
    assert read_urls(f"https://a.example/\n{line}\n".encode())[0] == ["https://a.example/"]
    assert read_urls(f"https://a.example/\n{line}\n".encode())[1][0].startswith("line 2: ")
