"""A report that lacks anything the pages read is told in one line, and one that holds it all is read as it is."""

import copy

import pytest

from builder.evaluation.report import VERSION, read_report
from knowledge.errors import UserError
from knowledge.files import write_json, write_text
from tests.ui.reports import made_report

REPLY = ("rows", 0, "replies", "hybrid")
NEEDED = {(): "made questions answerable unanswerable systems scores differences rows",
          ("scores", "tone"): "title better unit explanation",
          ("differences", 0): "score left right value low high adjusted detectable primary",
          ("rows", 0): "line question answer answerable group replies",
          REPLY: "text abstained probability seconds tokens scores evidence sources",
          (*REPLY, "sources", 0): "document heading start end"}
"""What the pages read, by where it stands; all else an older report may lack."""


def without(report, path):
    made = copy.deepcopy(report)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return made


@pytest.mark.parametrize("path", [(*place, key) for place, keys in NEEDED.items() for key in keys.split()],
                         ids=lambda path: ".".join(map(str, path)))
def test_a_report_that_lacks_a_part_is_one_line_that_names_it(tmp_path, path):
    write_json(tmp_path / "report.json", without(made_report(), path))
    with pytest.raises(UserError) as caught:
        read_report(tmp_path / "report.json", "r007")
    said = str(caught.value)
    assert said.startswith("r007: its report is of an older version") and "\n" not in said
    assert str(path[-1]) in said and "twofold evaluate" in said


@pytest.mark.parametrize(("report", "lacks"), [
    ([], "all of it"), ("text", "all of it"), (made_report() | {"systems": {}}, "systems"),
    (made_report() | {"systems": {"few-shot": {}}}, "systems"), (made_report() | {"rows": [1]}, "rows.0"),
    (made_report() | {"seconds": "long"}, "seconds"), (without(made_report(), ("scores", "facts")), "scores.facts")])
def test_a_damaged_report_is_one_line(tmp_path, report, lacks):
    write_json(tmp_path / "report.json", report)
    with pytest.raises(UserError, match=rf"\({lacks} is missing") as caught:
        read_report(tmp_path / "report.json", "r007")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_json_is_one_line(tmp_path):
    write_text(tmp_path / "report.json", "{half")
    with pytest.raises(UserError, match="can't be read"):
        read_report(tmp_path / "report.json", "r007")


def test_a_whole_report_is_read_as_it_is_and_written_as_it_was_read(tmp_path):
    write_json(tmp_path / "report.json", made_report())
    report = read_report(tmp_path / "report.json", "r007")
    written = report.as_json()
    assert written["version"] == VERSION and written["rows"][0]["replies"].keys() == report.rows[0].replies.keys()
    for key, value in made_report().items():
        assert key == "rows" or includes(written[key], value), key
    write_json(tmp_path / "report.json", written)
    assert read_report(tmp_path / "report.json", "r007") == report


def includes(written, value):
    """Whether all that stands in `value` stands in `written`, which may hold more."""
    if isinstance(value, dict):
        return all(includes(written[key], inner) for key, inner in value.items())
    if isinstance(value, list):
        return len(written) == len(value) and all(map(includes, written, value))
    return written == value


def test_a_report_of_a_newer_version_is_one_line(tmp_path):
    write_json(tmp_path / "report.json", made_report() | {"version": VERSION + 1})
    with pytest.raises(UserError, match="r007: its report was made by a newer Twofold; update Twofold"):
        read_report(tmp_path / "report.json", "r007")
