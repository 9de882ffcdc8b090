import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as some

from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.parts import theme
from ui.parts.frame import LARGEST_LOGO, logo_of

BRAND = {"primary": "#1f4e46", "accent": "#7a1f2b", "background": "#f6f3ec", "text": "#22292b"}
DARK = {"primary": "#7ec8ff", "background": "#101820", "text": "#f0f0e0"}
PNG, JPEG, WEBP = b"\x89PNG\r\n\x1a\n....", b"\xff\xd8\xff....", b"RIFF....WEBPVP8 "
SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"

colours = some.dictionaries(some.sampled_from(sorted(BRAND)), some.from_regex("#[0-9a-fA-F]{6}", fullmatch=True))
grounds = some.sampled_from(sorted(theme.BACKGROUNDS))


def pairs(look):
    """Each text with what it is written on, as Streamlit does: on pages, panels and tints, whole or muted."""
    page, panel = look["backgroundColor"], look["secondaryBackgroundColor"]
    for ground in (page, panel):
        yield from ((look[name], ground) for name in ("textColor", "linkColor", "primaryColor"))
        yield mixed(ground, look["textColor"], 0.6), ground
        yield from ((look[name], ground) for name in look if name.endswith("TextColor") and name != "codeTextColor")
    yield from ((look[name], look[name.replace("Text", "Background")]) for name in look if name.endswith("TextColor"))
    yield look["primaryColor"], mixed(page, look["primaryColor"], 0.2)
    yield look["textColor"], look["dataframeHeaderBackgroundColor"]
    yield page, look["primaryColor"]


def mixed(one, other, share):
    sides = [[int(colour[place:place + 2], 16) for place in (1, 3, 5)] for colour in (one, other)]
    return "#" + "".join(f"{round(left + (right - left) * share):02x}" for left, right in zip(*sides, strict=True))


def luminance(colour):
    return 1.05 / theme.contrast(colour, "#ffffff") - 0.05


@given(colours, grounds)
def test_whatever_colours_a_brand_has_every_text_can_be_read(given_colours, ground):
    look = theme.look(given_colours, ground)
    assert {(text, on): theme.contrast(text, on) for text, on in pairs(look) if theme.contrast(text, on) < 4.5} == {}


@given(colours, grounds)
def test_streamlit_takes_light_for_light_and_dark_for_dark(given_colours, ground):
    assert (luminance(theme.look(given_colours, ground)["backgroundColor"]) > 0.5) == (ground == "light")


def test_contrast_is_as_wcag_defines_it():
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert theme.contrast("#ff0000", "#ffffff") == theme.contrast("#ffffff", "#ff0000") == pytest.approx(4.0, abs=0.01)


def test_a_brands_colours_are_taken_as_they_are_where_they_can_be_read():
    light, dark = theme.look(BRAND, "light"), theme.look(BRAND, "dark")
    assert (light["backgroundColor"], light["primaryColor"]) == (BRAND["background"], BRAND["accent"])
    assert dark["backgroundColor"] not in (BRAND["background"], theme.BACKGROUNDS["dark"])
    assert dark["textColor"] == BRAND["background"]
    own = theme.look(DARK, "dark")
    assert (own["backgroundColor"], own["textColor"], own["primaryColor"]) == (
        DARK["background"], DARK["text"], DARK["primary"])
    assert theme.look(DARK, "light")["backgroundColor"] == theme.BACKGROUNDS["light"]


@pytest.mark.parametrize("unusable", ["red; } body { display: none", "#fff", "--server.port=1", "#B3541E\n", "", "red"])
def test_what_is_no_colour_is_passed_over(unusable):
    for ground in theme.BACKGROUNDS:
        assert theme.look(dict.fromkeys(BRAND, unusable), ground) == theme.look({}, ground)
        assert theme.accent({"accent": unusable, "primary": "#102030"}, ground) == theme.accent(
            {"primary": "#102030"}, ground)
    assert unusable not in theme.arguments({"accent": unusable}) and (
        theme.style({"background": unusable}) == theme.style({}))


def test_the_options_are_ones_that_streamlit_knows():
    from streamlit import config

    options = theme.arguments(BRAND)
    names, values = options[::2], options[1::2]
    assert all(name.startswith("--") and name[2:] in config.get_config_options() for name in names)
    assert len(set(names)) == len(names) and BRAND["accent"] in values


def brand(folder, logo):
    (folder / "brand.yaml").write_text(f"name: Lamps\npersona: Helps.\nabstain: No.\nlogo: '{logo}'\n")
    return Workspace(folder)


@pytest.mark.parametrize(("name", "picture", "kind"), [
    ("logo.png", PNG, "png"), ("misnamed.txt", JPEG, "jpeg"), ("pictures/logo.webp", WEBP, "webp"),
    ("logo.svg", SVG, "svg+xml")])
def test_a_logo_becomes_a_picture_within_the_page(tmp_path, name, picture, kind):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(picture)
    assert logo_of(brand(tmp_path, name)) == f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    assert logo_of(brand(tmp_path, "")) is None


@pytest.mark.parametrize(("content", "said"), [
    (b"GIF89a....", "is no PNG"), (b"", "is no PNG"),
    (b"<html><svg xmlns='http://www.w3.org/2000/svg'/></html>", "is no PNG"),
    (b"<svg/>", "is no PNG"), (b"<svg xmlns='http://www.w3.org/2000/svg'", "is no PNG"),
    (b"<!DOCTYPE svg [<!ENTITY a 'b'>]><svg xmlns='http://www.w3.org/2000/svg'>&a;</svg>", "is no PNG"),
    (PNG + bytes(LARGEST_LOGO), "larger than 1 MB")])
def test_what_is_no_small_picture_is_one_line(tmp_path, content, said):
    (tmp_path / "logo.png").write_bytes(content)
    refused(tmp_path, "logo.png", said)


@pytest.mark.parametrize(("name", "said"), [
    ("../logo.png", "outside"), ("linked.png", "outside"), ("linked/logo.png", "outside"), ("/etc/passwd", "outside"),
    ("https://evil.example/logo.png", "no such file"), ("gone.png", "no such file"), (".", "no such file"),
    ("x" * 300, "can't be read"), ("pipe", "no such file")])
def test_a_logo_from_elsewhere_is_never_read(tmp_path, name, said):
    outside, folder = tmp_path / "logo.png", tmp_path / "lamps"
    outside.write_bytes(PNG)
    folder.mkdir()
    (folder / "linked.png").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    refused(folder, name, said)


def refused(folder, name, said):
    with pytest.raises(UserError, match=said) as raised:
        logo_of(brand(folder, name))
    assert "\n" not in str(raised.value) and "; " in str(raised.value) and str(raised.value).startswith("logo: ")
