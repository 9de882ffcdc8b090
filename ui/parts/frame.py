"""What stands around every page: the brand's logo, judged by its content, and the rest of its look."""

import base64

import streamlit as st

from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.parts.show import fault
from ui.parts.theme import style

LARGEST_LOGO = 2**20
"""Bytes."""
SVG = "{http://www.w3.org/2000/svg}svg"


def dress(here: Workspace) -> None:
    """Draw the logo, and give the page the colours that no option gives it; a faulty logo is said in its place."""
    st.html(style(here.brand.colours))
    try:
        if logo := logo_of(here):
            st.logo(logo, size="large")
    except UserError as error:
        fault(error)


def logo_of(here: Workspace) -> str | None:
    """The logo as a data: address, which a browser shows as a picture and never runs; None where the brand has none.

    UserError where it lies outside the workspace, is too large, or is no PNG, JPEG, WebP or SVG by its content.
    """
    named = here.brand.logo
    if not named:
        return None
    try:
        place = (here.folder / named).resolve()
        if not place.is_relative_to(here.folder.resolve()):
            raise UserError(f"logo: {named}: is outside the assistant's folder; copy the picture into {here.folder}")
        if not place.is_file():
            raise UserError(f"logo: {named}: no such file in {here.folder}; correct the logo in brand.yaml")
        with place.open("rb") as file:
            picture = file.read(LARGEST_LOGO + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"logo: {named}: can't be read ({error}); correct logo in brand.yaml") from None
    if len(picture) > LARGEST_LOGO:
        raise UserError(f"logo: {named}: is larger than 1 MB; make the picture smaller")
    kind = _kind(picture)
    if kind is None:
        raise UserError(f"logo: {named}: is no PNG, JPEG, WebP or SVG; save the picture as one of these")
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _kind(picture: bytes) -> str | None:
    """What a picture's bytes say that it is."""
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if picture.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if picture.startswith(b"RIFF") and picture[8:12] == b"WEBP":
        return "webp"
    return "svg+xml" if _is_svg(picture) else None


def _is_svg(picture: bytes) -> bool:
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        return bool(fromstring(picture).tag == SVG)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return False
