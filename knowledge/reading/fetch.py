"""Web pages that a list names: fetched only when asked, over http and https, from public addresses alone."""

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from knowledge.errors import UserError
from knowledge.files import Tick, hash_bytes, read_json, silent, write_bytes, write_json

LARGEST = 10_000_000
"""Bytes of one page."""
SECONDS = 30.0
"""For one page, redirects and all."""
REDIRECTS = 5
MOST = 1000
"""Addresses in one list."""
ENDINGS = {"text/html": ".html", "application/xhtml+xml": ".html", "text/plain": ".txt", "text/markdown": ".md",
           "application/pdf": ".pdf", "text/csv": ".csv"}
"""Types of content that are kept, and how each is read."""


class Refused(Exception):
    """Why an address is not fetched, in words for the person who listed it."""


def read_urls(data: bytes) -> tuple[list[str], list[str]]:
    """The addresses of a list, one for each line, `#` before a remark; and a reason for each line that is none."""
    addresses: list[str] = []
    wrong: list[str] = []
    for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            _host(text)
            addresses.append(text)
        except Refused as error:
            wrong.append(f"line {number}: {error}")
    if len(addresses) > MOST:
        wrong.append(f"lists more than {MOST} addresses; split it")
    return list(dict.fromkeys(addresses[:MOST])), wrong


def fetched(store: Path, url: str) -> tuple[str, bytes] | None:
    """A page's ending and bytes, as far as `fetch` brought it."""
    place = store / hash_bytes(url)[:32]
    settings = place.with_suffix(".json")
    if not settings.is_file() or not place.is_file():
        return None
    try:
        ending = read_json(settings)["ending"]
    except (UserError, KeyError, TypeError):
        return None  # damaged: it is fetched anew
    return (ending, place.read_bytes()) if ending in ENDINGS.values() else None


def fetch(urls: Sequence[str], store: Path, tick: Tick = silent,
          is_allowed: Callable[[str], bool] | None = None) -> list[tuple[str, str]]:
    """Bring pages into `store`; returns each address that failed and why, and what was there before stays.

    `is_allowed` says of an IP address whether it may be asked; public ones only, unless a test says otherwise.
    """
    failed = []
    for number, url in enumerate(urls, 1):
        try:
            ending, data = _page(url, is_allowed or is_public)
            place = store / hash_bytes(url)[:32]
            write_bytes(place, data)
            write_json(place.with_suffix(".json"), {"url": url, "ending": ending})
        except Refused as error:
            failed.append((url, str(error)))
        tick(number, len(urls), url)
    return failed


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: not of this machine, its network or a cloud's inside."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if inner:
            return is_public(str(inner))
        if ip in ipaddress.ip_network("64:ff9b::/96"):  # an IPv4 address behind a translator
            return False
    return ip.is_global and not ip.is_multicast


def _host(url: str) -> tuple[str, int, str]:
    """The host, the port and the scheme of an address; Refused where it isn't http or https."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
    except (ValueError, UnicodeError):
        raise Refused("is no address; write https://…") from None
    if parts.scheme not in ("http", "https") or not host or any(
            letter.isspace() or not letter.isprintable() for letter in url):
        raise Refused("is no http or https address; write https://…")
    if parts.username or parts.password:
        raise Refused("holds a password; remove it")
    return host, port, parts.scheme


def _address(host: str, port: int, is_allowed: Callable[[str], bool]) -> str:
    """An IP address of the host, all of which must be allowed."""
    try:
        found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise Refused(f"{host} is not found; check the address and the network") from None
    if not found or not all(map(is_allowed, found)):
        raise Refused(f"{host} is a private address; only pages of the open internet are fetched")
    return found[0]


def _page(url: str, is_allowed: Callable[[str], bool]) -> tuple[str, bytes]:
    """A page's ending and bytes. The address that was checked is the one that is asked, redirect by redirect."""
    import httpx

    until = time.monotonic() + SECONDS
    with httpx.Client(trust_env=False, follow_redirects=False, timeout=10.0) as client:
        for _ in range(REDIRECTS + 1):
            host, port, _scheme = _host(url)
            ip = _address(host, port, is_allowed)
            asked = httpx.URL(url).copy_with(host=ip, fragment=None)
            named = host if urlsplit(url).port is None else f"{host}:{port}"
            request = client.build_request("GET", asked, extensions={"sni_hostname": host}, headers={
                "Host": named, "User-Agent": "twofold", "Accept": ", ".join(ENDINGS)})
            try:
                response = client.send(request, stream=True)
                try:
                    if response.is_redirect:
                        url = urljoin(url, response.headers.get("location", ""))
                        continue
                    return _body(response, until)
                finally:
                    response.close()
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise Refused(f"can't be fetched ({type(error).__name__}); try again later") from None
    raise Refused(f"leads on more than {REDIRECTS} times; list the address where it ends")


def _body(response: "httpx.Response", until: float) -> tuple[str, bytes]:  # type: ignore[name-defined]  # noqa: F821
    if response.status_code != 200:
        raise Refused(f"answers with status {response.status_code}; check the address")
    kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in ENDINGS:
        raise Refused(f"is {kind or 'of no stated type'}, not text, HTML, CSV or PDF; remove it")
    data = bytearray()
    for piece in response.iter_bytes(65536):
        data += piece
        if len(data) > LARGEST:
            raise Refused(f"is larger than {LARGEST // 1_000_000} MB; remove it")
        if time.monotonic() > until:
            raise Refused(f"took longer than {SECONDS:.0f} seconds; try again later")
    return ENDINGS[kind], bytes(data)
