"""Who gets in, by a true provider, a true server and a true browser; and what `twofold app` refuses to start with."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import streamlit as st
from hypothesis import given
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from knowledge.errors import UserError
from tests.conftest import write_workspace
from tests.ui import browser as browsing
from tests.ui.provider import CLIENT, SECRET, providing
from ui.parts import sign_in

COOKIES = "0123456789abcdef" * 4
MENU = "stTopNavLink"
PLEASE = "Please sign in to continue."
ASKED = ["Skip to main content", "Lamp House", PLEASE, "Sign in"]
"""All that a stranger may read; the first is for those who can't see the page."""
ICONS = '[data-testid="stIconMaterial"], [data-testid="stAlertDynamicIcon"]'
CLAIMS = {"email": "nell@lamps.example", "email_verified": True}
AUTH = {"redirect_uri": "https://lamps.example/oauth2callback", "cookie_secret": COOKIES, "client_id": CLIENT,
        "client_secret": SECRET, "server_metadata_url": "https://provider.example/.well-known/openid-configuration"}
ALLOWED = {"allowed": ["Nell@lamps.example", "@shades.example"]}


def write_secrets(home, provider):
    (home / ".streamlit").mkdir(exist_ok=True)
    (home / ".streamlit" / "secrets.toml").write_text(f"""
[auth]
redirect_uri = "http://localhost:{{port}}/oauth2callback"
cookie_secret = "{COOKIES}"
client_id = "{CLIENT}"
client_secret = "{SECRET}"
server_metadata_url = "{provider}/.well-known/openid-configuration"

[twofold]
allowed = ["Nell@lamps.example", "@shades.example"]
""")


@pytest.fixture(scope="module")
def guarded(browser, tmp_path_factory):
    """An app that asks for sign-in, its provider, and where it says things; no model is built."""
    pytest.importorskip("authlib", reason="nobody can sign in without Authlib; `pip install 'twofold[sign-in]'`")
    folder = write_workspace(tmp_path_factory.mktemp("guarded") / "lamps")
    with pytest.MonkeyPatch.context() as patch, providing() as provider:
        write_secrets(folder.parent, provider.address)
        patch.setenv("HOME", str(folder.parent))
        patch.setenv("NO_PROXY", "*")
        with browsing.serving(folder) as app:
            yield app, provider, folder.parent / "lamps.app.log"


@pytest.fixture
def visitor(browser, guarded):
    """A tab on the sign-in page; the provider will say that Nell signs in, and takes no false step."""
    app, provider, _ = guarded
    provider.claims, provider.false = dict(CLAIMS), ""
    with browsing.tab(browser, app) as tab:
        tab.open()
        yield tab


def read(tab):
    """The lines on the page, without the names of icons."""
    icons = set(tab.page.locator(ICONS).all_inner_texts())
    return [line for line in tab.page.locator("body").inner_text().splitlines() if line.strip() and line not in icons]


def sign_in_at(tab):
    with tab.page.expect_event("load"):  # to the provider and back
        tab.page.get_by_role("button", name="Sign in").click()


def refused_with(tab, words):
    tab.page.get_by_test_id("stAlert").filter(has_text=words).wait_for()
    assert tab.page.get_by_test_id(MENU).count() == 0 and tab.page.locator("h1").count() == 0


@pytest.mark.parametrize("path", ["", "chat", "releases", "?assistant=lamps"])
def test_who_is_not_signed_in_sees_the_sign_in_page_and_nothing_else(visitor, guarded, path):
    visitor.open(path)
    assert read(visitor) == ASKED
    assert visitor.page.get_by_test_id(MENU).count() == 0
    if sys.platform == "linux":
        assert "xllamacpp" not in Path(f"/proc/{guarded[0].process}/maps").read_text()


@pytest.mark.parametrize("email", ["nell@lamps.example", "NELL@LAMPS.EXAMPLE", "anybody@shades.example"])
def test_who_is_on_the_list_gets_in(visitor, guarded, email):
    guarded[1].claims["email"] = email
    sign_in_at(visitor)
    visitor.page.get_by_text("Signed in as").first.wait_for()
    assert f"Signed in as {email}" in [line.replace("\u200b", "") for line in read(visitor)]
    visitor.visit("Chat")


@pytest.mark.parametrize(("claims", "words"), [
    ({"email": "eve@evil.example"}, "eve@\u200bevil.example may not use this app"),
    ({"email": "nell@lamps.example.evil.example"}, "may not use this app"),
    ({"email_verified": False}, "is not verified yet"), ({"email_verified": "false"}, "is not verified yet"),
    ({"email": ""}, "has no e-mail address")])
def test_a_stranger_is_told_why_not_and_can_only_sign_out(visitor, guarded, claims, words):
    guarded[1].claims |= claims
    sign_in_at(visitor)
    refused_with(visitor, words)
    assert [line for line in read(visitor) if words not in line and "Signed in" not in line] == [ASKED[0], "Sign out"]
    visitor.page.get_by_role("button", name="Sign out").click()
    visitor.page.get_by_text(PLEASE).wait_for()


def test_who_signs_out_is_asked_again(visitor):
    sign_in_at(visitor)
    visitor.page.get_by_test_id(MENU).first.wait_for()
    visitor.page.get_by_role("button", name="Sign out").click()
    visitor.page.get_by_text(PLEASE).wait_for()
    visitor.open("chat")
    assert read(visitor) == ASKED
    assert not [cooky for cooky in visitor.page.context.cookies() if cooky["name"].startswith("_streamlit_user")]


@pytest.mark.parametrize("false", ["state", "nonce", "signature", "audience"])
def test_an_answer_that_is_not_the_providers_to_this_visitor_lets_nobody_in(visitor, guarded, false):
    guarded[1].false = false
    sign_in_at(visitor)
    visitor.page.get_by_text(PLEASE).wait_for()
    visitor.settle()
    assert read(visitor) == ASKED


def test_a_cookie_that_somebody_else_signed_lets_nobody_in(visitor):
    from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

    told = f'{{"email": "nell@lamps.example", "is_logged_in": true, "origin": "{visitor.address}"}}'
    for secret, inside in (("guessed", False), (COOKIES, True)):  # the true secret shows that the cookie is well made
        forged = create_signed_value(secret, "_streamlit_user", told).decode()
        visitor.page.context.add_cookies([{"name": "_streamlit_user", "value": forged, "url": visitor.address}])
        visitor.open()
        assert (read(visitor) != ASKED) == inside


def test_no_secret_is_sent_to_the_browser_or_written_to_the_log(browser, guarded):
    app, provider, log = guarded
    provider.claims, provider.false, received = dict(CLAIMS), "", []
    with browsing.tab(browser, app) as tab:
        tab.page.on("websocket", lambda one: one.on("framereceived", lambda frame: received.append(
            frame if isinstance(frame, bytes) else frame.encode())))
        for false in ("nonce", ""):
            provider.false = false
            tab.open()
            sign_in_at(tab)
        tab.page.get_by_test_id(MENU).first.wait_for()
        tab.visit("Chat")
        received.append(tab.page.content().encode())
    seen = b"".join(received) + log.read_bytes()
    assert b"nell" in seen and b"Lamp House" in seen
    # A code is worth nothing without the client's secret; the browser carries it, but no page or log holds it.
    assert [secret for secret in (SECRET, COOKIES, *provider.given) if secret.encode() in seen] == []


def test_a_list_admits_its_addresses_and_its_domains_only():
    settings = sign_in.read({"auth": AUTH, "twofold": ALLOWED})
    assert settings.admits("nell@LAMPS.example") and settings.admits("x.y@shades.example")
    for other in ("nell@lamps.example.evil.example", "eve@shades.example@evil.example", "eve@evil.example", "nell", "",
                  "@shades.example@lamps.example", "eve@sub.shades.example", "eve@\u017fhades.example"):
        assert not settings.admits(other), other


@given(some.lists(some.emails(), min_size=1, max_size=3), some.emails() | some.text(max_size=20))
def test_nobody_else_is_ever_admitted(listed, somebody):
    settings = sign_in.read({"auth": AUTH, "twofold": {"allowed": listed}})
    assert all(settings.admits(one) for one in listed)
    if somebody.lower() not in [one.lower() for one in listed]:
        assert not settings.admits(somebody)


def without(*keys):
    return {key: value for key, value in AUTH.items() if key not in keys}


@pytest.mark.parametrize(("secrets", "said"), [
    ({"auth": "yes", "twofold": ALLOWED}, "auth is no table"),
    ({"auth": AUTH}, "nobody is allowed in yet"),
    ({"auth": AUTH, "twofold": {"allowed": []}}, "nobody is allowed in yet"),
    ({"auth": AUTH, "twofold": {"allowed": "nell@lamps.example"}}, "nobody is allowed in yet"),
    ({"auth": AUTH, "twofold": {"allowed": ["*"]}}, "neither an e-mail address nor a domain"),
    ({"auth": AUTH, "twofold": {"allowed": ["@"]}}, "neither an e-mail address nor a domain"),
    ({"auth": AUTH, "twofold": {"allowed": [7]}}, "neither an e-mail address nor a domain"),
    ({"auth": AUTH | {"cookie_secret": "xxx"}, "twofold": ALLOWED}, "fewer than 32 letters"),
    ({"auth": AUTH | {"redirect_uri": "https://lamps.example/"}, "twofold": ALLOWED}, "isn't the app's address"),
    ({"auth": AUTH | {"redirect_uri": "lamps.example/oauth2callback"}, "twofold": ALLOWED}, "isn't the app's address"),
    *[({"auth": without(key), "twofold": ALLOWED}, f"auth.{key} is missing") for key in AUTH],
    ({"auth": without(*sign_in.OF_PROVIDER), "twofold": ALLOWED}, "auth.client_id is missing"),
    ({"auth": AUTH | {"okta": {"client_id": "x"}}, "twofold": ALLOWED}, "auth.okta.client_secret is missing"),
    ({"auth": AUTH | {"my_own": dict(AUTH)}, "twofold": ALLOWED}, "has a _ in its name")])
def test_sign_in_that_is_set_wrongly_is_one_line_without_a_secret(secrets, said):
    with pytest.raises(UserError) as raised:
        sign_in.read(secrets)
    line = str(raised.value)
    assert said in line and "\n" not in line and "; " in line
    assert not any(secret in line for secret in (SECRET, COOKIES, "xxx"))


def test_several_providers_each_have_their_button():
    named = {key: AUTH[key] for key in sign_in.OF_PROVIDER}
    several = {"auth": {**without(*named), "okta": named, "google": named, "client_kwargs": {}}, "twofold": ALLOWED}
    assert sign_in.read(several).providers == ("okta", "google")
    assert sign_in.read({"auth": AUTH, "twofold": ALLOWED}).providers == ("",)
    assert sign_in.read({}) is None


@pytest.fixture
def opened(written, monkeypatch):
    """Opens the app's frame with these secrets, for a visitor from that address."""
    def open_app(secrets, visitor):
        monkeypatch.setattr(sys, "argv", ["app.py", str(written)])
        monkeypatch.setattr(type(st.context), "ip_address", visitor)
        test = AppTest.from_file(str(Path(sign_in.__file__).parents[1] / "app.py"), default_timeout=30)
        test.secrets.update({"other": {}} | secrets)  # not empty, or those of the home folder would count
        return test.run()

    sign_in._settings.cache_clear()
    yield open_app
    sign_in._settings.cache_clear()


@pytest.mark.parametrize(("secrets", "visitor", "said"), [
    ({}, "203.0.113.9", "you can open it only on the machine where it runs"),
    ({"auth": AUTH}, None, "not set up correctly"), ({"auth": AUTH}, "203.0.113.9", "not set up correctly")])
def test_where_it_is_not_clear_who_may_come_in_nobody_does(opened, secrets, visitor, said):
    test = opened(secrets, visitor)
    assert not test.exception and not test.title and not test.button
    assert [said in error.value for error in test.error] == [True]


def test_without_sign_in_whoever_sits_at_the_machine_comes_in(opened):
    test = opened({}, None)
    assert not test.exception and not test.error and test.title and "Signed in" not in str(test.caption)


def app(folder, home, *words):
    """`twofold app`, started in `home`, which is also the home folder."""
    return subprocess.Popen([sys.executable, "-m", "ui.cli", "app", str(folder), *words],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home,
                            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "NO_PROXY": "*"})


@pytest.mark.parametrize(("secrets", "address", "said"), [
    (None, "0.0.0.0", "must sign in first"), (None, "192.168.1.7", "must sign in first"), (None, "::", "must sign in"),
    (b"[auth]\n", "localhost", "auth.redirect_uri is missing"), (b"[auth\n", "localhost", "can't be read as TOML"),
    (b"\xff\xfe\x00", "localhost", "can't be read")])
def test_the_app_does_not_start_where_anybody_could_come_in(written, tmp_path, secrets, address, said):
    if secrets:
        (tmp_path / ".streamlit").mkdir()
        (tmp_path / ".streamlit" / "secrets.toml").write_bytes(secrets)
    process = app(written, tmp_path, "--address", address)
    _, line = process.communicate(timeout=60)
    assert process.returncode == 2
    assert line.startswith("twofold: ") and line.count("\n") == 1 and said in line


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives all of 127.0.0.0/8 to the machine itself")
@pytest.mark.parametrize(("address", "others"), [("localhost", False), ("0.0.0.0", True)])
def test_others_reach_the_app_only_where_it_is_told_to_listen_for_them(written, tmp_path, address, others):
    write_secrets(tmp_path, "http://127.0.0.1:1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = app(written, tmp_path, "--port", str(port), "--address", address)
    try:
        while not answers("127.0.0.1", port):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        assert answers("127.0.0.2", port) == others  # another address than the one that localhost is
    finally:
        process.terminate()
        process.communicate(timeout=30)


def answers(host, port):
    try:
        with urlopen(f"http://{host}:{port}/_stcore/health", timeout=5) as reply:
            return reply.status == 200
    except (URLError, OSError):
        return False


def test_streamlit_finds_no_page_by_itself():
    # It would run files of a folder of that name beside app.py without app.py, and so without the sign-in.
    assert not (Path(sign_in.__file__).parents[1] / "pages").exists()
