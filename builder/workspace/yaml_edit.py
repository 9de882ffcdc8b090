"""brand.yaml's text with some of its values changed: comments, order and every other byte stay."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

Keys = tuple[str, ...]
"""Where a value stands: the keys that lead to it."""
WIDTH = 110
"""Characters of a line of folded text."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any], above: Keys = ()) -> dict[Keys, Any]:
    """What is other in `new`, by its keys; None for what it lacks or has nothing in."""
    found: dict[Keys, Any] = {}
    for key in [*old, *(key for key in new if key not in old)]:
        was, value = old.get(key), new.get(key)
        if isinstance(was, Mapping) and isinstance(value, Mapping):
            found |= differences(was, value, (*above, key))
        elif was != value:
            found[*above, key] = value
    return found


def put(old: Mapping[str, Any], changes: Mapping[Keys, Any]) -> dict[str, Any]:
    """`old` with the changes made; the counterpart of `differences`."""
    made = dict(old)
    for keys, value in changes.items():
        if len(keys) > 1:
            made[keys[0]] = put(made.get(keys[0]) or {}, {keys[1:]: value})
        elif value is None:
            made.pop(keys[0], None)
        else:
            made[keys[0]] = value
    return made


def rewritten(text: str, changes: Mapping[Keys, Any]) -> str:
    """The YAML text with the changes made, each at its place; ValueError or ruamel's YAMLError where it can't be.

    A value is text, a number, a list of texts or a mapping of such; None takes its key away.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    for keys, value in changes.items():
        text = _changed(text, keys, value, newline)
    return text


def _changed(text: str, keys: Keys, value: Any, newline: str) -> str:
    from ruamel.yaml import YAML

    node, parent, pair = YAML(typ="rt").compose(text), None, None
    for depth, key in enumerate(keys):
        if not isinstance(node.value, list) or node.flow_style:
            start, end = _span(text, node)
            held = YAML(typ="safe").load(text[start:end]) or {}
            return text[:start] + _flow(put(held, {keys[depth:]: value})) + text[end:]
        parent, pair = node, next((pair for pair in node.value if pair[0].value == key), None)
        if pair is None:
            for outer in reversed(keys[depth + 1:]):
                value = {outer: value}
            return text if value is None else _added(text, parent, key, value, newline)
        node = pair[1]
    assert parent is not None and pair is not None  # there are keys
    if value is not None:
        return _replaced(text, pair, value, newline)
    if len(parent.value) == 1:
        return _changed(text, keys[:-1], {}, newline)
    return text[:_line_start(text, pair[0])] + text[_line_end(text, pair):]


def _replaced(text: str, pair: Any, value: Any, newline: str) -> str:
    """The text with the value of a key replaced."""
    key, node = pair
    start, end = _span(text, node)
    if isinstance(node.value, list) and not node.flow_style:  # a list or a mapping of one line an entry
        if value:
            return _listed(text, node, value, newline)
        colon = text.index(":", key.end_mark.index) + 1
        return text[:colon] + " " + _flow(value) + text[colon:_line_start(text, node)] + text[_line_end(text, pair):]
    said = _flow(value)
    if getattr(node, "style", None) == ">" and isinstance(value, str) and value == " ".join(value.split()) != "":
        pad = " " * (key.start_mark.column + 2)
        said = newline.join([">-", *(pad + line for line in textwrap.wrap(
            value, WIDTH - len(pad), break_long_words=False, break_on_hyphens=False))])
    return text[:start] + (" " if text[start - 1] == ":" else "") + said + text[end:]


def _listed(text: str, node: Any, values: Sequence[str], newline: str) -> str:
    """The text with a list's entries replaced; one that stays keeps its lines and the comments above it."""
    first = _line_start(text, node)
    chunks: dict[str, list[str]] = {}
    start = first
    for item in node.value:
        end = _line_end(text, (item, item))
        chunks.setdefault(item.value, []).append(text[start:end])
        start = end
    pad = text[first:node.start_mark.index]
    lines = [chunks[value].pop(0) if chunks.get(value) else f"{pad}- {_flow(value)}{newline}" for value in values]
    return text[:first] + "".join(line if line.endswith("\n") else line + newline for line in lines) + text[start:]


def _added(text: str, node: Any, key: str, value: Any, newline: str) -> str:
    """The text with a key more, after the last one of its mapping."""
    place = _line_end(text, node.value[-1])
    before = text[:place] if text[:place].endswith("\n") else text[:place] + newline
    return before + newline.join(_block(key, value, " " * node.value[0][0].start_mark.column)) + newline + text[place:]


def _block(key: str, value: Any, pad: str) -> list[str]:
    """A key and its value as lines."""
    if isinstance(value, Mapping) and value:
        return [f"{pad}{_flow(key)}:", *(line for name, one in value.items() for line in _block(name, one, pad + "  "))]
    if isinstance(value, (list, tuple)) and value:
        return [f"{pad}{_flow(key)}:", *(f"{pad}  - {_flow(one)}" for one in value)]
    return [f"{pad}{_flow(key)}: {_flow(value)}"]


def _flow(value: Any) -> str:
    """A value on one line, which reads alike in and out of brackets."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    whole = isinstance(value, float) and value.is_integer()
    return _text(value) if isinstance(value, str) else json.dumps(int(value) if whole else value)


def _text(value: str) -> str:
    """Text as it is where YAML reads that as the same text, else in double quotes."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if value.isprintable() and YAML(typ="safe").load(f"[{value}]") == [value]:
            return value
    except (YAMLError, ValueError):  # it is some other YAML, or none
        pass
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" if ord(letter) < 0x10000
                   else f"\\U{ord(letter):08x}" for letter in quoted)


def _span(text: str, node: Any) -> tuple[int, int]:
    """Where a value stands, without the blank lines that ruamel counts to it."""
    start = node.start_mark.index
    return start, start + len(text[start:node.end_mark.index].rstrip())


def _line_start(text: str, node: Any) -> int:
    return text.rfind("\n", 0, node.start_mark.index) + 1


def _line_end(text: str, pair: Any) -> int:
    """Just behind the line that an entry ends on, its comment included."""
    node = pair[1]
    while isinstance(node.value, list) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end = text.find("\n", max(_span(text, node)[1] - 1, pair[0].end_mark.index - 1))
    return end + 1 if end >= 0 else len(text)
