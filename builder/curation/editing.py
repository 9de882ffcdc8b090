"""brand.yaml and the examples as a person changes them: whole, and never over another's change."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from builder.curation.drafts import judging
from builder.workspace.brand import Brand, as_brand
from builder.workspace.examples import Example, as_line, examples_file, is_by_line, parse_examples, read_preferences
from builder.workspace.folder import Workspace
from builder.workspace.yaml_edit import Keys, differences, put, rewritten
from knowledge.errors import UserError
from knowledge.files import hash_bytes, write_bytes, write_text

LARGEST = 50_000_000
"""Bytes of a file of examples."""
IMPORTED = (".jsonl", ".json", ".csv")
SHOWN = 60
"""Characters of a question that a message shows."""


def open_brand(workspace: Workspace) -> tuple[Brand, str]:
    """The brand, and a hash of brand.yaml as it was read, which saving asks for."""
    path = workspace.folder / "brand.yaml"
    data = _bytes(path)
    return _brand(data, path), hash_bytes(data)


def edited(brand: Brand, changes: Mapping[Keys, Any]) -> Brand:
    """The brand with some values changed, as brand.yaml would hold it; UserError names the one that may not be."""
    from pydantic import ValidationError

    try:
        return Brand.model_validate(put(brand.model_dump(mode="json"), changes))
    except ValidationError as error:
        fault = error.errors()[0]
        raise UserError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}; correct the value") from None


def changes(before: Brand, after: Brand) -> dict[Keys, Any]:
    """What is other in `after`, by the keys of brand.yaml; what `edited` takes."""
    return differences(before.model_dump(mode="json"), after.model_dump(mode="json"))


def save_brand(workspace: Workspace, seen: str, brand: Brand) -> str:
    """Change brand.yaml to say what `brand` says, everything else in it as it was; the hash of what it is now.

    UserError, and the file is as it was, where somebody has changed it since it was `seen`, or where it can't be
    changed in place.
    """
    from ruamel.yaml.error import YAMLError

    path = workspace.folder / "brand.yaml"
    with workspace.alone():
        data = _bytes(path)
        _same(path, seen, hash_bytes(data))
        try:
            made = rewritten(data.decode(), changes(_brand(data, path), brand)).encode()
            written = _brand(made, path)
        except (YAMLError, ValueError, UserError) as error:
            raise UserError(f"{path}: can't be changed from here ({str(error).splitlines()[0]}); "
                            "change it in an editor") from None
        if written != brand:
            raise UserError(f"{path}: can't be changed from here, because it names one value in two places; "
                            "change it in an editor")
        write_bytes(path, made)
    return hash_bytes(made)


def change_brand(workspace: Workspace, values: Mapping[str, Any]) -> None:
    """Change some of brand.yaml's values, whatever they are now; UserError where one may not be so."""
    brand, seen = open_brand(workspace)
    save_brand(workspace, seen, edited(brand, {(key,): value for key, value in values.items()}))


def open_examples(workspace: Workspace) -> tuple[list[Example], str]:
    """The examples, and a hash of their file as it was read, which saving asks for."""
    path, data = _file(workspace)
    return parse_examples(data, str(path)), hash_bytes(path.name, data)


def seen_examples(workspace: Workspace) -> str:
    """The hash of the examples' file as it is now."""
    path, data = _file(workspace)
    return hash_bytes(path.name, data)


def save_examples(workspace: Workspace, seen: str, rows: Sequence[Example]) -> str:
    """Write examples.jsonl with these rows; the hash of what it is now. A row of line 0 is new and goes to the end.

    Lines whose row is unchanged stay byte for byte, lines that no row has go. A CSV becomes examples.jsonl, which
    then stands before it. UserError, and nothing is written, where somebody has changed the file since it was `seen`,
    where a row is empty, or where a changed or new one asks what judges; the row is named by its place.
    """
    with workspace.alone():
        path, data = _file(workspace)
        _same(path, seen, hash_bytes(path.name, data))
        old = {example.line: example for example in parse_examples(data, str(path))}
        judged = judging(Workspace(workspace.folder))
        for number, row in enumerate(rows, 1):
            if row != old.get(row.line):
                _check(row, f"row {number}", judged(row.question))
        return _write(workspace, _merged(data if is_by_line(data, path.name) else b"", old, rows))


def import_examples(workspace: Workspace, seen: str, name: str, data: bytes) -> tuple[int, list[str]]:
    """Add the examples of a file (.jsonl, .json or .csv) at the end; how many, and why each other one was left out.

    UserError, and nothing is added, where one of them is broken or somebody has changed the examples since `seen`.
    """
    if len(data) > LARGEST:
        raise UserError(f"{name}: is larger than {LARGEST // 1_000_000} MB; split it")
    if not name.lower().endswith(IMPORTED):
        raise UserError(f"{name}: is none of {', '.join(IMPORTED)}; save it as one of these")
    offered = parse_examples(data, name[:name.rfind(".")] + name[name.rfind("."):].lower())
    with workspace.alone():
        rows, now = open_examples(workspace)
        _same(_file(workspace)[0], seen, now)
        known, left = {_said(row) for row in rows}, []
        judged = judging(Workspace(workspace.folder))
        before = len(rows)
        for example in offered:
            place = f"{name}:{example.line}: “{example.question[:SHOWN]}”"
            if _said(example) in known:
                left.append(f"{place} is already there")
            elif line := judged(example.question):
                left.append(f"{place} is like the test question on line {line} of questions.jsonl")
            else:
                known.add(_said(example))
                rows.append(replace(example, line=0))
        if len(rows) > before:
            _append(workspace, rows)
    return len(rows) - before, left


def append_example(workspace: Workspace, question: str, reply: str, history: Sequence[tuple[str, str]] = ()) -> None:
    """Add one example at the end; UserError where it is there already, is empty, or asks what judges."""
    row = Example(question.strip(), reply.strip(), tuple(history), 0)
    with workspace.alone():
        rows, _ = open_examples(workspace)
        place = f"“{row.question[:SHOWN]}”"
        _check(row, place, judging(Workspace(workspace.folder))(row.question))
        if _said(row) in map(_said, rows):
            raise UserError(f"{place}: is already an example; change the reply, or discard it")
        _append(workspace, [*rows, row])


def append_preference(workspace: Workspace, question: str, chosen: str, rejected: str) -> None:
    """Add one preference at the end of preferences.jsonl; UserError as `append_example`."""
    row = Example(question.strip(), chosen.strip(), (), 0)
    worse = rejected.strip()
    path = workspace.folder / "preferences.jsonl"
    with workspace.alone():
        place = f"“{row.question[:SHOWN]}”"
        _check(row, place, judging(Workspace(workspace.folder))(row.question))
        _check(replace(row, reply=worse), place, None)
        if worse == row.reply:
            raise UserError(f"{place}: both replies are the same; change one of them")
        if (_said(row), worse) in [(_said(known.better), known.worse) for known in read_preferences(path)]:
            raise UserError(f"{place}: is already a preference; discard it")
        before = _bytes(path) if path.exists() else b""
        made = json.dumps({"messages": [{"role": "user", "content": row.question}], "chosen": row.reply,
                           "rejected": worse}, ensure_ascii=False) + "\n"
        write_bytes(path, b"".join(_ended([before] if before else [])) + made.encode())


def onto(theirs: Sequence[Example], before: Sequence[Example], mine: Sequence[Example]) -> list[Example]:
    """What I made of `before`, put onto what others made of it; of a row that both changed, both versions are kept."""
    kept = {row.line: row for row in mine if row.line}
    edits: dict[tuple[Any, ...], list[Example | None]] = {}
    for was in before:
        if kept.get(was.line) != was:
            edits.setdefault(_said(was), []).append(kept.get(was.line))
    made: list[Example] = []
    for one in theirs:
        row = edits[_said(one)].pop(0) if edits.get(_said(one)) else one
        if row is not None:
            made.append(replace(row, line=one.line))
    known = set(map(_said, made))
    more = [row for rows in edits.values() for row in rows if row is not None] + [row for row in mine if not row.line]
    return made + [replace(row, line=0) for row in more if _said(row) not in known]


def _brand(data: bytes, path: Path) -> Brand:
    try:
        return as_brand(data.decode(), str(path))
    except UnicodeDecodeError:
        raise UserError(f"{path}: can't be read as UTF-8; save it as UTF-8 text") from None


def _file(workspace: Workspace) -> tuple[Path, bytes]:
    """The examples' file as Workspace.examples chooses it, and what it holds."""
    path = examples_file(workspace.folder)
    return path, _bytes(path) if path.exists() else b""


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); check the permissions") from None


def _same(path: Path, seen: str, now: str) -> None:
    if seen != now:
        raise UserError(f"{path}: someone else changed it while you were editing, so nothing was written; use "
                        "their version, or reapply yours")


def _check(row: Example, place: str, judge: int | None) -> None:
    """UserError where a row may not be an example."""
    for name, text in (("question", row.question), ("reply", row.reply)):
        if not text.strip():
            raise UserError(f"{place}: the {name} is empty; fill it in or delete the row")
    if any("\ud800" <= letter <= "\udfff" for letter in row.question + row.reply):
        raise UserError(f"{place}: contains half a character; type it again")
    if judge is not None:
        raise UserError(f"{place}: “{row.question[:SHOWN]}” is like the test question on line {judge} of "
                        "questions.jsonl; test questions are never used for training, so change or delete the row")


def _said(example: Example) -> tuple[Any, ...]:
    return example.question, example.reply, example.history


def _append(workspace: Workspace, rows: Sequence[Example]) -> None:
    """Write the examples with those of line 0 at the end, all others as they were."""
    path, data = _file(workspace)
    old = {row.line: row for row in rows if row.line}
    _write(workspace, _merged(data if is_by_line(data, path.name) else b"", old, rows))


def _merged(data: bytes, old: Mapping[int, Example], rows: Sequence[Example]) -> str:
    """The lines of the file with the rows in them, in its order; then the new ones, or all where there are no lines."""
    lines = data.decode("utf-8-sig").encode().splitlines(keepends=True)
    placed = {row.line: row for row in rows if row.line in old and lines}
    made: list[bytes] = []
    for number, line in enumerate(lines, 1):
        row = placed.get(number)
        if number not in old or row == old[number]:
            made.append(line)
        elif row is not None:
            made.append(as_line(row, line.decode()).encode())
    fresh = [as_line(row).encode() for row in rows if row.line not in placed]
    return b"".join([*_ended(made), *fresh] if fresh else made).decode()


def _ended(lines: list[bytes]) -> list[bytes]:
    """The lines, the last one with its end."""
    return [*lines, b"\n"] if lines and not lines[-1].endswith((b"\n", b"\r")) else lines


def _write(workspace: Workspace, text: str) -> str:
    """Take the examples' place, if they can be read back; the hash of what was written."""
    path = workspace.folder / "examples.jsonl"
    parse_examples(text.encode(), str(path))
    write_text(path, text)
    return hash_bytes(path.name, text.encode())
