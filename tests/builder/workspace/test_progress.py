import json
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from builder.workspace.folder import Workspace
from builder.workspace.progress import NAME, Pace, held_out_points, in_words, read_progress, recorded, smoothed
from knowledge.errors import UserError
from knowledge.files import silent

RECORDING = """
import sys, time
from pathlib import Path
from builder.workspace.progress import recorded
from builder.workspace.folder import Workspace
from knowledge.files import silent
"""


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "brand.yaml").write_text("name: Lumen\npersona: Helps.\nabstain: Not in my notes.\n")
    return Workspace(tmp_path)


def quiet(name):
    return silent


def record(losses, held_out=(), epochs=1):
    """What training.json would hold after these losses."""
    return {"curve": [[step, loss, 9.0] for step, loss in enumerate(losses, 1)], "held_out_loss": list(held_out),
            "tokens_per_second": 480.0, "epochs": epochs, "step": len(losses)}


def trained(tick, losses, total, since=0, **more):
    for step in range(since + 1, len(losses) + 1):
        tick(step, total, "epoch 1 of 1", record(losses[:step], **more))


def events(workspace):
    return [json.loads(line) for line in (workspace.built / NAME).read_text().splitlines()]


def test_everything_is_passed_on_as_it_came(workspace):
    seen = []
    with recorded(lambda name: lambda *ticked: seen.append((name, *ticked)), workspace) as watch:
        watch("index")(1, 2, "passages")
        watch("train")(1, 4, "epoch 1", figures := record([2.0]))
    assert seen == [("index", 1, 2, "passages", None), ("train", 1, 4, "epoch 1", figures)]


def test_few_events_hold_every_step_of_a_quick_training(workspace):
    losses = [3.0 - step / 1000 for step in range(500)]
    with recorded(quiet, workspace) as watch:
        trained(watch("train"), losses, 500, held_out=[3.1, 2.2])
        running = read_progress(workspace)
    assert len(events(workspace)) < 100
    assert running.state == "running" and running.stage == "train" and running.share == 1.0
    assert running.curve.losses == list(enumerate(losses, 1)) and running.curve.steps == 500
    assert running.curve.held_out == [(0, 3.1), (500, 2.2)] and running.curve.tokens_per_second == 480.0


def test_the_last_tick_of_a_stage_is_written_though_it_ends_early(workspace):
    with recorded(quiet, workspace) as watch:
        trained(watch("train"), [2.0, 1.5, 1.0], 9)
        watch("evaluate")
        running = read_progress(workspace)
    assert running.stage == "evaluate" and running.total == 0 and running.share == 0.0
    assert running.curve.losses == [(1, 2.0), (2, 1.5), (3, 1.0)] and running.curve.steps == 9
    assert list(running.seconds) == ["train"]
    finished = read_progress(workspace)
    assert finished.state == "finished" and list(finished.seconds) == ["train", "evaluate"]
    assert all(seconds >= 0 for seconds in finished.seconds.values())


def test_where_steps_begin_anew_another_curve_begins(workspace):
    with recorded(quiet, workspace) as watch:
        tick = watch("train")
        trained(tick, [5.0, 4.0, 3.0], 3)
        tick(0, 8, "measuring")
        assert read_progress(workspace).curve.losses == [(1, 5.0), (2, 4.0), (3, 3.0)]
        trained(tick, [2.0, 1.0], 8)
    curve = read_progress(workspace).curve
    assert curve.losses == [(1, 2.0), (2, 1.0)] and curve.steps == 8


def test_a_run_that_carries_on_shows_its_curve_from_the_first_step(workspace):
    losses = [4.0, 3.0, 2.0, 1.0]
    with recorded(quiet, workspace) as watch:
        trained(watch("train"), losses, 4, since=2)
    assert read_progress(workspace).curve.losses == list(enumerate(losses, 1))


@pytest.mark.parametrize(("fault", "state", "error"), [
    (UserError("brand.yaml:3: unknown setting voise"), "failed", "brand.yaml:3: unknown setting voise"),
    (MemoryError("no room"), "failed", "MemoryError: no room"), (KeyboardInterrupt(), "stopped", "")])
def test_how_a_run_ended_is_written_down(workspace, fault, state, error):
    with pytest.raises(type(fault)), recorded(quiet, workspace) as watch:
        watch("train")(3, 9, "epoch 1")
        raise fault
    progress = read_progress(workspace)
    assert (progress.state, progress.error, progress.stage, progress.done) == (state, error, "train", 3)
    assert progress.seconds == {}


def test_each_run_begins_a_new_file(workspace):
    assert read_progress(workspace) is None
    for stage in ("index", "train"):
        with recorded(quiet, workspace) as watch:
            watch(stage)
    runs = {event["run"] for event in events(workspace) if "run" in event}
    assert list(read_progress(workspace).seconds) == ["train"] and len(runs) == 1


def test_a_killed_run_is_told_from_one_that_lives(workspace):
    script = RECORDING + ("with recorded(lambda name: silent, Workspace(Path(sys.argv[1]))) as watch:\n"
                          "    watch('train')(2, 8, 'epoch 1')\n    print('up', flush=True)\n    time.sleep(60)\n")
    running = subprocess.Popen([sys.executable, "-c", script, str(workspace.folder)], stdout=subprocess.PIPE)
    running.stdout.readline()
    alive = read_progress(workspace)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=30)
    dead = read_progress(workspace)
    assert (alive.state, dead.state) == ("running", "stopped") and (dead.stage, dead.done) == ("train", 2)
    assert events(workspace)[0]["pid"] == running.pid


def test_a_file_cut_anywhere_is_read_as_far_as_it_is_whole(workspace):
    with recorded(quiet, workspace) as watch:
        watch("index")(5, 5, "passages")
        trained(watch("train"), [2.0, 1.0], 2)
    path = workspace.built / NAME
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        lines = whole[:cut + 1].count(b"\n")  # a line is whole without its end, too
        progress = read_progress(workspace)
        if lines:
            assert progress.stage == ("" if lines < 2 else "index" if lines < 4 else "train")
        assert progress is None or (progress.state == "finished") == (cut == len(whole) - 1)


@pytest.mark.parametrize("damage", [b"", b"nonsense\n", b"[1]\n", b'{"at": "today"}\n', b"\xff\xfe\n",
                                    b'{"at": "2026-11-24T09:00:00+00:00", "stage": "train"}\n'])
def test_what_no_run_of_ours_wrote_shows_nothing(workspace, damage):
    workspace.built.mkdir()
    (workspace.built / NAME).write_bytes(damage)
    assert read_progress(workspace) is None


def test_a_full_disk_drops_events_and_not_the_build(workspace):
    script = RECORDING + """
import resource
def room(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
with recorded(lambda name: silent, Workspace(Path(sys.argv[1]))) as watch:
    watch("index")
    room((Path(sys.argv[1]) / ".twofold" / "progress.jsonl").stat().st_size + 20)
    watch("prepare rows")(1, 1, "")
    room(resource.RLIM_INFINITY)
    watch("train")(1, 4, "epoch 1")
"""
    subprocess.run([sys.executable, "-c", script, str(workspace.folder)], check=True, timeout=60)
    progress = read_progress(workspace)
    assert progress.state == "finished" and list(progress.seconds) == ["index", "train"] and progress.done == 1
    with pytest.raises(ValueError, match="Unterminated|Expecting"):
        events(workspace)


def test_a_folder_that_cannot_be_written_stops_nothing(workspace):
    workspace.built.write_text("a file where the folder should be")
    seen = []
    with recorded(lambda name: lambda *ticked: seen.append(ticked[0]), workspace) as watch:
        watch("train")(1, 2, "epoch 1")
    assert seen == [1] and read_progress(workspace) is None


def test_nothing_is_said_of_the_time_left_before_there_are_steps_to_go_by():
    pace = Pace()
    lefts = [pace.left(done, 10, at) for done, at in ((0, 0.0), (1, 100.0), (2, 103.0), (3, 106.0), (10, 127.0))]
    assert lefts == [None, None, None, 21.0, 0.0]
    assert [pace.left(done, 4, 200.0 + done) for done in (0, 1, 2, 3)] == [None, None, None, 1.0]


def test_a_run_that_carries_on_counts_its_own_steps_only():
    pace = Pace()
    assert [pace.left(done, 100, at) for done, at in ((51, 10.0), (52, 12.0), (53, 14.0))] == [None, None, 94.0]


@given(some.lists(some.floats(-100, 100), max_size=40))
def test_the_smoothed_loss_is_the_mean_weighted_by_age(losses):
    for end, mean in enumerate(smoothed(losses), 1):
        weights = [0.9 ** (end - place) for place in range(1, end + 1)]
        assert mean == pytest.approx(sum(map(float.__mul__, weights, losses)) / sum(weights), abs=1e-6)


def test_held_out_losses_stand_at_their_epochs():
    assert held_out_points([3.0, 2.0, 2.5], 20, 2) == [(0, 3.0), (10, 2.0), (20, 2.5)]
    assert held_out_points([None, None], 20, 1) == [] == held_out_points([], 20, 3)


@pytest.mark.parametrize(("seconds", "said"), [
    (0, "0 s"), (0.2, "1 s"), (59, "59 s"), (59.5, "1 min"), (200, "3 min 20 s"), (599, "9 min 59 s"), (600, "10 min"),
    (3599, "1 h"), (7500, "2 h 5 min")])
def test_a_length_of_time_is_said_as_people_say_it(seconds, said):
    assert in_words(seconds) == said
