"""What fine-tuning forgot: known replies give known figures, and true adapters are found out, good and bad."""

import json
import re
from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from builder.evaluation.checks import forgetting as checked
from builder.evaluation.checks.forgetting import Margins, Request, advice, forgetting, general_texts, requests
from builder.evaluation.report import Forgetting
from builder.model.engine import Generated
from builder.model.export import write_lora
from builder.model.gguf_files import MODULES
from builder.model.llama_engine import LlamaEngine
from builder.model.prepare import prepared
from builder.model.transformers_engine import load_adapter, load_base, mean_log_probabilities
from builder.scoring.statistics import compare
from builder.scoring.text import plain
from builder.workspace.brand import Training
from knowledge.errors import UserError

SIZES = {"q_proj": (576, 576), "k_proj": (192, 576), "v_proj": (192, 576), "o_proj": (576, 576),
         "gate_proj": (1536, 576), "up_proj": (1536, 576), "down_proj": (576, 1536)}
PARTS = ["instructions", "formats", "text"]
SAME = [(-3.0, -3.0)] * 40


def asked(part):
    return [request for request in requests() if request.part == part]


def right_reply(request):
    """A reply that is right, from the request's own key or, for the formats, from the list below."""
    return f"It is {request.accepted[0]}." if request.accepted else FORMATS[request.id]


LISTS = {"countries": "1. Peru\n2. Chad\n3. Fiji", "kitchen": "1. Pan\n2. Cup\n3. Jug", "pets": "1. Cat\n2. Dog",
         "jobs": "1. Cook\n2. Nurse\n3. Pilot", "clothes": "1. Hat\n2. Sock\n3. Coat\n4. Belt"}
FORMATS = {
    "only-river": "River.", "only-thanks": "thanks", "only-sunshine": "Sunshine", "say-ready": "I am ready.",
    "only-birthday": "Happy birthday!", "only-tomorrow": "see you tomorrow", "only-okay": "Okay.",
    "capitals-house": "HOUSE", "capitals-music": "MUSIC", "capitals-blue-car": "BLUE CAR",
    "capitals-good-morning": "GOOD MORNING", "lower-window": "window", "lower-apple-pie": "apple pie",
    "first-capital-london": "London", "yes-fire-hot": "Yes.", "yes-fish-water": "yes", "yes-monday-day": "Yes",
    "no-mouse-house": "No", "no-stone-talk": "No.", "no-snow-hot": "no", "dashes-colours": "- red\n- green\n- blue",
    "dashes-animals": "- cow\n- hen\n- pig", "dashes-drinks": "- tea\n- milk",
    "dashes-sports": "- golf\n- polo\n- judo",
    "dashes-vegetables": "- leek\n- kale\n- pea\n- bean", **{f"numbered-{name}": text for name, text in LISTS.items()},
    "commas-animals": "cow, hen, pig", "commas-colours": "red, green, blue", "commas-one-to-five": "1, 2, 3, 4, 5",
    "commas-first-letters": "a, b, c, d", "commas-sun-moon-star": "sun, moon, star",
    "commas-three-names": "Ann, Bo, Cy", "quotes-sun": '"The sun is warm."',
    "quotes-friend": '"friend"', "quotes-went-home": '"We went home."',
    "begin-i-like": "I like plums.", "begin-today": "Today it rains.", "begin-my-mother": "My mother sings.",
    "begin-once-upon": "Once upon a time there was a king.", "repeat-train": "The train is late.",
    "repeat-piano": "My brother plays the piano.", "happy-three-times": "happy happy happy",
    "json-colour": '{"colour": "red"}', "json-name": '```json\n{"name": "Sam"}\n```', "json-age": '{"age": 7}',
    "number-three-one": "4", "number-twelve": "12", "number-after-nine": "10", "number-dog-tails": "1",
    "question-any": "Is it late?", "question-weather": "Will it rain?", "exclamation-any": "What a day!",
    "order-fruits": "apple, banana, cherry", "order-letters": "a, b, c", "first-word-dogs": "Dogs",
    "last-word-coat": "coat"}


class Scripted:
    """An engine that makes known replies and writes down what it was asked."""

    def __init__(self, reply, slots=4):
        self.reply, self.slots, self.seen = reply, slots, []
        self.known = {request.text: request for request in requests()}

    def generate(self, messages, tuned, decoding, emit=None):
        self.seen.append((tuned, messages, decoding.temperature))
        return Generated(self.reply(self.known[messages[0]["content"]], tuned), 1, 1, 0.0, "stop")


def branded(request, tuned):
    """Knows everything, but once tuned greets first, whatever it is asked for."""
    return ("Ahoy! " if tuned else "") + right_reply(request)


def test_every_request_can_be_met_and_its_key_refuses_a_wrong_reply():
    for part in ("instructions", "formats"):
        assert len(asked(part)) == len({request.id for request in asked(part)}) == 60
    for request in requests():
        assert request.right(right_reply(request)), request
        assert not request.right("I am not sure what you mean by that"), request
        assert not request.right(""), request
        assert request.part == "instructions" or not request.right(f"Ahoy! {right_reply(request)} Fair winds!"), request


@pytest.mark.parametrize(("accepted", "pattern", "reply", "right"), [
    (("Paris",), "", "It is PARIS.", True), (("Paris",), "", "Parisians know.", False),
    (("6", "six"), "", "Six legs.", True), (("6", "six"), "", "It has 16 legs.", False),
    ((), "yes", " yes\n", True), ((), "yes", "yes, gladly", False), ((), "yes", "", False)])
def test_an_answer_is_held_and_a_format_is_the_whole_reply(accepted, pattern, reply, right):
    assert Request("instructions", "one", "?", accepted, pattern).right(reply) is right


def test_the_probe_shares_no_request_with_training():
    replayed = files("builder.training").joinpath("replayed_requests.txt").read_text(encoding="utf-8").splitlines()
    words = [set(re.findall(r"\w+", plain(request))) for request in replayed]
    for request in requests():
        mine = set(re.findall(r"\w+", plain(request.text)))
        assert max(len(mine & other) / len(mine | other) for other in words) < 0.75, request.text


def test_the_general_texts_are_many_short_all_different_and_free():
    texts = general_texts()
    assert len(texts) == len(set(texts)) == 40
    assert all(60 <= len(text.split()) <= 100 for text in texts)
    assert "CC0" in files("builder.evaluation.checks").joinpath("general", "LICENSE.md").read_text(encoding="utf-8")


def test_a_greeting_before_everything_keeps_the_facts_and_loses_the_formats():
    engine = Scripted(branded)
    result = forgetting(engine, SAME)
    parts = result.parts
    assert parts["instructions"].outcome == parts["text"].outcome == "kept"
    formats = parts["formats"]
    lost = [item.id for item in result.items if item.right_before and not item.right_after]
    assert formats.outcome == "forgot" and formats.lost == len(lost) > 30 and formats.gained == 0
    assert formats.difference == pytest.approx(-len(lost) / 60)
    assert result.outcome == "forgot"
    assert "exact formats 1.00 before" in advice(result) and "training.replay" in advice(result)
    assert "learning_rate" not in advice(result)
    assert Forgetting.model_validate_json(result.model_dump_json(), strict=True) == result


def test_requests_come_without_the_brand_greedily_and_untuned_first():
    engine, ticks = Scripted(branded), []
    forgetting(engine, SAME, tick=lambda done, total, note: ticks.append((done, total)))
    assert [tuned for tuned, _, _ in engine.seen] == [False] * 120 + [True] * 120
    assert {(len(messages), messages[0]["role"], warmth) for _, messages, warmth in engine.seen} == {(1, "user", 0.0)}
    assert ticks == [(done, 240) for done in range(1, 241)]


def test_each_part_has_its_own_margin_and_any_of_them_fails_the_gate():
    worse = [(-3.0, -3.0 - 0.1 - 0.001 * number) for number in range(40)]
    result = forgetting(Scripted(lambda request, tuned: right_reply(request)), worse)
    text = result.parts["text"]
    assert {name: result.parts[name].outcome for name in PARTS} == {
        "instructions": "kept", "formats": "kept", "text": "forgot"}
    assert text.difference == pytest.approx(-0.1195)
    assert text.perplexity_after / text.perplexity_before == pytest.approx(np.exp(0.1195))
    assert "rose by 13%" in advice(result) and "training.learning_rate" in advice(result)
    assert "training.replay" not in advice(result)
    looser = forgetting(Scripted(lambda request, tuned: right_reply(request)), worse, Margins(text=0.2))
    assert looser.outcome == "kept"
    assert "kept" in advice(looser) and "training." not in advice(looser)


def test_what_cannot_be_told_is_no_failure_but_is_said():
    wide = [(-3.0, -3.0 + 0.5 * (-1) ** number) for number in range(40)]
    result = forgetting(Scripted(lambda request, tuned: right_reply(request)), wide)
    assert result.outcome == "cannot tell"
    assert f"{result.parts['text'].detectable:.2f} in general text" in advice(result)


def test_texts_without_their_figures_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        forgetting(Scripted(branded), SAME[:-1])
    with pytest.raises(ValueError, match="too few"):
        compare([1.0], [0.0], ["one"], 0.1)


def test_advice_names_only_settings_that_exist():
    worse = [(-3.0, -4.0 - 0.001 * number) for number in range(40)]
    said = advice(forgetting(Scripted(branded), worse))
    named = set(re.findall(r"training\.(\w+)", said))
    assert {"replay", "learning_rate", "epochs", "frozen_layers", "rank"} == named <= set(Training.model_fields)
    assert "\n" not in said


shares = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40)


@given(shares, st.sampled_from([0.05, 0.1, 0.3]))
def test_the_outcome_follows_from_the_interval(pairs, margin):
    before, after = ([float(one) for one in column] for column in zip(*pairs, strict=True))
    ids = [str(number) for number in range(len(pairs))]
    part = compare(before, after, ids, margin)
    assert part.difference == pytest.approx(part.after - part.before)
    assert (part.outcome == "kept") == (part.low > -margin)
    if part.outcome == "forgot":
        assert part.difference < -margin and part.high < 0
        assert compare(after, before, ids, margin).outcome == "kept"
    assert compare(before, before, ids, margin).outcome == "kept"


def write_adapter(folder, strength):
    """A LoRA on all modules of the embedded model; B is random with that standard deviation."""
    random, tensors = np.random.default_rng(0), {}
    for layer in range(30):
        for module in MODULES:
            outputs, inputs = SIZES[module.partition(".")[2]]
            name = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{name}.lora_A.weight"] = random.normal(size=(4, inputs)).astype(np.float32) / inputs ** 0.5
            tensors[f"{name}.lora_B.weight"] = (strength * random.normal(size=(outputs, 4))).astype(np.float32)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "bias": "none",
         "target_modules": sorted(SIZES)}))
    return folder


@pytest.fixture(scope="module")
def base():
    return prepared(precision="f16")


@pytest.mark.thorough
def test_log_probabilities_are_those_of_a_slow_look_at_each_text_by_itself(base, tmp_path):
    adapter = write_adapter(tmp_path / "adapter", 0.02)
    texts = ["The lake is cold.", "A comet spends most of its life far from the sun.", "Yes."]
    from tokenizers import Tokenizer

    tokenizer, wanted = Tokenizer.from_file(str(base.tokenizer)), []
    adapted = load_adapter(load_base(base), adapter)
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False).ids])
        with torch.no_grad():
            after = adapted(ids).logits[0].log_softmax(-1)
            with adapted.disable_adapter():
                before = adapted(ids).logits[0].log_softmax(-1)
        wanted.append(tuple(np.mean([float(one[place, ids[0, place + 1]]) for place in range(ids.shape[1] - 1)])
                            for one in (before, after)))
    found = mean_log_probabilities(base, adapter, texts)
    assert np.allclose(found, wanted, atol=1e-4)
    assert all(abs(before - after) > 0.01 for before, after in found)


@pytest.mark.thorough
def test_an_adapter_whose_b_is_zero_changes_no_log_probability(base, tmp_path):
    texts = general_texts()[:3]
    assert all(before == after < -1 for before, after in
               mean_log_probabilities(base, write_adapter(tmp_path / "adapter", 0.0), texts))


@pytest.mark.thorough
def test_an_adapter_that_makes_no_numbers_is_one_line(base, tmp_path):
    with pytest.raises(UserError, match="not numbers; lower training.learning_rate"):
        mean_log_probabilities(base, write_adapter(tmp_path / "adapter", 1e30), ["The lake is cold."])


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("strength", "outcome"), [(0.0, "kept"), (0.5, "forgot")])
def test_a_fresh_adapter_has_forgotten_nothing_and_a_ruined_one_is_found_out(base, tmp_path, strength, outcome,
                                                                             monkeypatch):
    rows = checked._rows
    monkeypatch.setattr(checked, "_rows", lambda name, *more: rows(name, *more)[::1 if name == "formats" else 3])
    adapter = write_adapter(tmp_path / "adapter", strength)
    write_lora(adapter, base, tmp_path / "adapter.gguf")
    engine = LlamaEngine(prepared(), tmp_path / "adapter.gguf")
    result = forgetting(engine, mean_log_probabilities(base, adapter, general_texts()))
    assert {result.parts[name].outcome for name in PARTS} == {outcome}
    assert all(0.1 <= result.parts[name].before <= 0.8 for name in ("instructions", "formats"))
    assert all(item.before == item.after for item in result.items) == (outcome == "kept")
