"""Sign-in through Streamlit's own OpenID Connect login: who may come in, what must be set for it, and its page."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from knowledge.errors import UserError
from ui.parts.show import fault, plain

PLACE = ".streamlit/secrets.toml"
OF_PROVIDER = ("client_id", "client_secret", "server_metadata_url")
CALLBACK = "/oauth2callback"
SHORTEST = 32
"""Letters of cookie_secret: whoever guesses it can sign in as anybody."""
HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class SignIn:
    """What secrets.toml says about it."""

    providers: tuple[str, ...]
    """The names of `[auth.NAME]`; an empty one stands for what [auth] itself says."""
    allowed: frozenset[str]
    """E-mail addresses, and domains with their @."""
    address: str
    """Where people find the app."""

    def admits(self, email: str) -> bool:
        """Whether this address is on the list, by itself or by its domain."""
        email = _folded(email)
        return email.count("@") == 1 and (email in self.allowed or email[email.index("@"):] in self.allowed)


def admitted() -> bool:
    """Whether the pages may be drawn for this visitor; if not, `greet` draws why, or the way in."""
    try:
        settings = _settings()
    except UserError:
        return False
    if settings is None:
        return not isinstance(st.context.ip_address, str)  # none for a visitor on this machine
    return bool(st.user.get("is_logged_in")) and not refused(settings, st.user.to_dict())


def greet(name: str) -> None:
    """Draw who is signed in, or why this visitor may not come in, or the button to sign in, under the brand's name."""
    try:
        settings = _settings()
    except UserError:  # `twofold app` says it in full; strangers aren't told what the secrets lack
        fault("sign-in is not set up correctly, so nobody can sign in; `twofold app` says what to correct")
        return
    if settings is None:
        if not admitted():
            fault("this app has no sign-in, so you can open it only on the machine where it runs")
        return
    if not st.user.get("is_logged_in"):
        st.title(plain(name), anchor=False)
        st.text("Please sign in to continue.")
        for provider in settings.providers:
            st.button(f"Sign in with {plain(provider)}" if provider else "Sign in", key=f"sign in {provider}",
                      type="primary", icon=":material/login:", on_click=st.login, args=(provider or None,))
        return
    claims = st.user.to_dict()
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
        st.caption(f"Signed in as {plain(_email(claims) or 'somebody')}", width="content")
        st.button("Sign out", key="sign out", type="tertiary", icon=":material/logout:", on_click=st.logout)
    if refusal := refused(settings, claims):
        fault(refusal)


def refused(settings: SignIn, claims: Mapping[str, Any]) -> str:
    """Why whoever a provider says this of may not come in, in one line; empty where they may."""
    email = _email(claims)
    if not email:
        return "your account has no e-mail address; sign in with another account"
    # Some providers say nothing of it; where one does, only a plain yes counts.
    if claims.get("email_verified", True) not in (True, "true"):
        return f"{email} is not verified yet; verify it with your provider, then sign in again"
    if not settings.admits(email):
        return f"{email} may not use this app; ask its owner to add you"
    return ""


def arguments(address: str) -> list[str]:
    """The options for `streamlit run` on an address, and whose pages it answers.

    UserError where others could reach it but needn't sign in, or sign-in is set wrongly.
    """
    settings = _settings()
    if settings is None and not _is_here(address):
        raise UserError(f"--address {address}: others could open the app there, so they must sign in first; set [auth] "
                        f"in {PLACE}, as README.md shows")
    hosts = {*HERE, *([address] if _is_here(address) else [])}
    options = ["--server.address", address]
    if settings:
        host = urlsplit(settings.address).hostname or ""
        hosts.add(host)
        # Streamlit would print an address of its own making, which needn't be the one that people know.
        options += ["--browser.serverAddress", host, "--logger.hideWelcomeMessage", "true"]
    # Without them a hostile website could lend its own name to this machine, and read the pages from the browser.
    for host in sorted(hosts):
        options += ["--server.allowedHosts", host]
    return options


def found_at() -> str | None:
    """The address at which people sign in; None where they needn't. UserError where it is set wrongly."""
    settings = _settings()
    return settings.address if settings else None


def read(secrets: Mapping[str, Any]) -> SignIn | None:
    """What the secrets say of sign-in, None where it isn't set; UserError names what is wrong, but never a value."""
    if "auth" not in secrets:
        return None
    auth = secrets["auth"]
    if not isinstance(auth, Mapping):
        raise _wrong("auth is no table", "write [auth] on a line of its own")
    for key in ("redirect_uri", "cookie_secret"):
        if not isinstance(auth.get(key), str):
            raise _wrong(f"auth.{key} is missing", "add it, as README.md shows")
    if len(auth["cookie_secret"]) < SHORTEST:
        raise _wrong(f"auth.cookie_secret has fewer than {SHORTEST} letters", "put in what "
                     "`python -c 'import secrets; print(secrets.token_hex())'` prints")
    found = urlsplit(auth["redirect_uri"].removesuffix(CALLBACK))
    if found.scheme not in ("http", "https") or not found.netloc or not auth["redirect_uri"].endswith(CALLBACK):
        raise _wrong("auth.redirect_uri isn't the app's address", f"write https://YOUR.NAME{CALLBACK}")
    return SignIn(_providers(auth), _allowed(secrets.get("twofold")), found.geturl())


def _providers(auth: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the providers, each of which has all that it needs."""
    named = {str(name): part for name, part in auth.items() if isinstance(part, Mapping) and name != "client_kwargs"}
    if any(key in auth for key in OF_PROVIDER) or not named:
        named = {"": auth, **named}
    for name, part in named.items():
        for key in OF_PROVIDER:
            if not isinstance(part.get(key), str):
                raise _wrong(f"{'.'.join(filter(None, ('auth', name, key)))} is missing", "add it, as README.md shows")
        if "_" in name:
            raise _wrong(f"auth.{name} has a _ in its name", "take a name without")
    return tuple(named)


def _allowed(ours: Any) -> frozenset[str]:
    """Who may come in: with most providers anybody can make an account, so without a list nobody is meant."""
    listed = ours.get("allowed") if isinstance(ours, Mapping) else None
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise _wrong("nobody is allowed in yet", 'add [twofold] with allowed = ["you@your.example", "@your.example"]')
    for address in listed:
        if not isinstance(address, str) or address.count("@") != 1 or address.endswith("@"):
            raise _wrong("twofold.allowed holds what is neither an e-mail address nor a domain", "write "
                         "you@your.example or @your.example")
    return frozenset(_folded(address) for address in listed)


@cache
def _settings() -> SignIn | None:
    """The settings as they were when first asked for: a file that is just being saved must not open the doors."""
    try:
        secrets = st.secrets.to_dict()
    except StreamlitSecretNotFoundError as error:
        if error.error_id == "no-secrets-found":
            return None
        raise _wrong("can't be read as TOML", "mend it, or remove it") from None
    except (OSError, ValueError):
        raise _wrong("can't be read", "make it a readable text file, or remove it") from None
    settings = read(secrets)
    if settings and importlib.util.find_spec("authlib") is None:
        raise UserError(f"{PLACE}: sign-in needs Authlib; install it by `pip install 'twofold[sign-in]'`")
    return settings


def _wrong(what: str, next_step: str) -> UserError:
    return UserError(f"{PLACE}: {what}; {next_step}")


def _email(claims: Mapping[str, Any]) -> str:
    email = claims.get("email")
    return email.strip() if isinstance(email, str) else ""


def _folded(email: str) -> str:
    """The address in small letters, but for those that would only look like others then."""
    return email.lower() if email.isascii() else email


def _is_here(address: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        return False
