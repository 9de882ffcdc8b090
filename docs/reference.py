"""Writes docs/settings.md and docs/commands.md from the code: `python docs/reference.py`; a test checks them."""

from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.main import get_command

from builder.workspace.brand import Brand
from ui.cli.main import app

FOLDER = Path(__file__).parent
VARIABLES = {
    "TWOFOLD_HOME": "Folder for converted models and encoders. By default the user's cache folder.",
    "TWOFOLD_JUDGE_KEY": "Key for the endpoint of `twofold evaluate --judge`.",
    "NO_COLOR": "Set to anything to print without colours.",
}
"""Environment variables that the product reads."""


def settings() -> str:
    """The settings of brand.yaml, block by block, as Markdown."""
    lines = ["# Settings", "", "Everything that `brand.yaml` may contain. Only `name`, `persona` and `abstain` are "
             "required; an unknown key is an error.", "", "## Top level", ""]
    blocks = {name: field for name, field in Brand.model_fields.items() if _block(field)}
    lines += _table({name: field for name, field in Brand.model_fields.items() if name not in blocks})
    for name, field in blocks.items():
        block = _block(field)
        assert block is not None
        lines += ["", f"## {name}", "", (block.__doc__ or "").strip(), "", *_table(block.model_fields)]
    lines += ["", "## Environment variables", "", "| Variable | Meaning |", "| --- | --- |",
              *(f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items())]
    return "\n".join(lines) + "\n"


def _block(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _table(fields: dict[str, FieldInfo]) -> list[str]:
    rows = [f"| `{name}` | {_values(field)} | {_default(field)} | {_cell(field.description or '')} |"
            for name, field in fields.items()]
    return ["| Setting | Values | Default | Meaning |", "| --- | --- | --- | --- |", *rows]


def _values(field: FieldInfo) -> str:
    """What may stand there: choices, or the kind with its bounds."""
    pattern = next((item.pattern for item in field.metadata if getattr(item, "pattern", None)), None)
    if pattern:
        return ", ".join(f"`{choice}`" for choice in pattern.strip("^$()").replace("\\", "").split("|"))
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not type(None)]
    bounds = {name: value for item in field.metadata for name in ("ge", "gt", "le", "lt")
              if (value := getattr(item, name, None)) is not None}
    words = [_kind(field.annotation, kinds)]
    if "ge" in bounds or "gt" in bounds:
        words.append(f"{'from' if 'ge' in bounds else 'above'} {bounds.get('ge', bounds.get('gt'))}")
    if "le" in bounds or "lt" in bounds:
        words.append(f"{'to' if 'le' in bounds else 'below'} {bounds.get('le', bounds.get('lt'))}")
    return " ".join(words)


def _kind(annotation: Any, kinds: list[Any]) -> str:
    text = str(annotation)
    if text.startswith("tuple"):
        return "list of texts"
    if text.startswith("dict"):
        return "names with values"
    if text.startswith("typing.Literal"):
        return ", ".join(f"`{choice}`" for choice in kinds)
    if "Literal" in text:
        return "number or `auto`"
    return {str: "text", int: "whole number", float: "number"}[kinds[0]]


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    return "–" if value in (None, "", (), {}) else f"`{value}`"


def commands() -> str:
    """Every command with its arguments and options, as Markdown."""
    group = get_command(app)
    lines = ["# Commands", "", "Every command exits with 0 (done), 1 (a check failed), 2 (bad input) or 130 (Ctrl-C). "
             "Data goes to stdout, messages go to stderr. `twofold COMMAND --help` shows the same in the terminal."]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        context = typer.Context(command, info_name=f"twofold {name}")
        usage = " ".join(command.collect_usage_pieces(context)).replace("{", "").replace("}", "")
        lines += ["", f"## {name}", "", _cell(command.help or ""), "", "```text", f"twofold {name} {usage}", "```"]
        options = [pair for parameter in command.get_params(context) if parameter.name != "help"
                   if (pair := parameter.get_help_record(context))]
        if options:
            lines += ["", "| Option | Meaning |", "| --- | --- |",
                      *(f"| `{_cell(option)}` | {_cell(meaning)} |" for option, meaning in options)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text on one line that ends no cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


PAGES = {"settings.md": settings, "commands.md": commands}

if __name__ == "__main__":
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")
