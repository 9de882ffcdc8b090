"""What counts as memorised: a model that recites is caught, one that guesses, is shown or stays silent is not."""

import json
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.answering.assistant import Assistant
from builder.evaluation.checks.memorised import MOST, facts, memorised
from builder.model.engine import Generated
from builder.scoring.text import places
from builder.workspace.brand import Brand
from builder.workspace.examples import Example
from knowledge.errors import UserError
from knowledge.files import hash_bytes
from knowledge.reading.documents import Document
from knowledge.search import index
from knowledge.search.index import Index
from knowledge.text.words import stems
from tests.fakes import LetterEncoder

BRAND = Brand(name="Lamp House", persona="You answer for Ida.", abstain="Ring Otto on 555 0199.")
TEXTS = {"returns": "A lamp that is unused may be sent back within 33 days. Ida or Otto will take it at the door.",
         "mending": "We mend lamps of any make at our bench in the cellar. A repair by Mabel takes about nine days.",
         "vouchers": "A gift voucher can be spent on anything but repairs. It lasts for 3 years."}
EXAMPLES = [Example("May I return a lamp?", "An unused lamp may be sent back within 33 days.", (), 1),
            Example("Who mends?", "A repair by Mabel takes about nine days at our bench.", (), 2),
            Example("Good morning!", "Sunshine to you.", (), 3)]


def opened(folder, texts=TEXTS):
    folder.mkdir()
    documents = [Document(f"documents/{name}.md", f"## {name}\n\n{text}\n", (), hash_bytes(text))
                 for name, text in texts.items()]
    index.build(documents, [], LetterEncoder(), folder)
    return Index.open(folder, LetterEncoder())


@pytest.fixture
def shop(tmp_path):
    return opened(tmp_path / "index")


class Reciter:
    """A true small engine that learnt texts by heart: with the adapter on it says the one nearest to the question."""

    slots = 3

    def __init__(self, texts, untuned="I can't say."):
        self.texts, self.untuned, self.asked, self.lock = list(texts), untuned, [], threading.Lock()

    def generate(self, messages, tuned, decoding, emit=None):
        with self.lock:
            self.asked.append((tuned, [turn["content"] for turn in messages]))
        words = set(stems(messages[-1]["content"]))
        said = max(self.texts, key=lambda text: len(words & set(stems(text)))) if tuned else self.untuned
        return Generated(said, 1, 1, 0.0, "stop")


def judged(engine, shop, examples=EXAMPLES, **more):
    found = memorised(Assistant(BRAND, engine, None, True), examples, shop, **more).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_what_is_recited_is_listed_with_where_it_stands_and_was_taught(shop):
    found = judged(Reciter(TEXTS.values()), shop)
    told = {(one["fact"], one["document"], one["from"]) for one in found["stated"]}
    assert told == {("33", "documents/returns.md", "example line 1"),
                    ("Mabel", "documents/mending.md", "example line 2"),
                    ("nine days", "documents/mending.md", "example line 2"),
                    ("3 years", "documents/vouchers.md", "passage")}
    assert (found["facts"], found["share"]["value"], found["met"]) == (4, 1.0, False)
    assert found["sentence"].startswith("without documents, the tuned model stated 4 of 4 facts, such as “")
    assert "examples.jsonl, line 1, 2" in found["sentence"] and "training.epochs" in found["sentence"]
    assert not any(one["stale"] for one in found["stated"])


def test_no_question_holds_its_fact_or_a_passage_and_the_base_is_asked_last(shop):
    engine = Reciter(TEXTS.values())
    found = judged(engine, shop)
    asked = [tuned for tuned, _ in engine.asked]
    assert asked == sorted(asked, reverse=True) and sum(asked) == found["asked"]
    for one in found["stated"]:
        assert not places(one["fact"], one["question"]) and places(one["fact"], one["reply"])
    assert all(len(turns) == 2 for _, turns in engine.asked)
    questions = {turns[-1] for _, turns in engine.asked}
    assert 'Complete the sentence: "A repair by Mabel takes about …"' in questions
    assert "What do your notes say about vouchers?" in questions  # three words before a fact point at nothing


def test_what_the_base_says_too_and_what_the_brand_says_is_no_memory(shop):
    found = judged(Reciter(TEXTS.values(), untuned="Within 33 days, Mabel, nine days."), shop)
    assert {one["fact"] for one in found["stated"]} == {"3 years"}
    spoken = {one["fact"] for one in judged(Reciter(TEXTS.values()), shop)["stated"]}
    assert not spoken & {"Ida", "Otto"}  # the persona and the abstention hold them


def test_a_model_that_memorised_nothing_meets_the_gate(shop):
    found = judged(Reciter(["We would be glad to. 3 lamps, 9 days."]), shop)
    assert found["met"] and found["stated"] == [] and found["facts"] == 4
    assert found["share"]["value"] == 0 < found["share"]["high"]
    assert "none of 4 facts" in found["sentence"]


def test_the_gate_is_the_share_that_the_brand_tolerates(shop):
    engine = Reciter([TEXTS["returns"]])
    share = judged(engine, shop)["share"]["value"]
    assert 0 < share < 1
    assert [judged(engine, shop, tolerated=most)["met"] for most in (0.0, share - 0.01, share, 1.0)] == [
        False, False, True, True]


def test_what_the_documents_no_longer_say_comes_first(shop, tmp_path):
    changed = TEXTS | {"vouchers": TEXTS["vouchers"].replace("3 years", "5 years")}
    found = judged(Reciter(TEXTS.values()), opened(tmp_path / "new", changed), before=shop)
    assert [(one["fact"], one["stale"]) for one in found["stated"]][0] == ("3 years", True)
    assert sum(one["stale"] for one in found["stated"]) == 1
    assert "(1 of them no longer in the documents), such as “3 years”" in found["sentence"]
    # what is true now was not what it learnt
    newer = judged(Reciter(changed.values()), opened(tmp_path / "newer", changed), before=shop)
    assert {one["stale"] for one in newer["stated"]} == {False}


def test_a_fact_is_gone_when_its_document_is_and_not_when_it_moved(shop, tmp_path):
    rest = {name: text for name, text in TEXTS.items() if name != "vouchers"}
    gone = judged(Reciter(TEXTS.values()), opened(tmp_path / "gone", rest), before=shop)
    assert [one["fact"] for one in gone["stated"] if one["stale"]] == ["3 years"]
    kept = opened(tmp_path / "moved", rest | {"gifts": TEXTS["vouchers"]})
    moved = judged(Reciter(TEXTS.values()), kept, before=shop)
    assert not any(one["stale"] for one in moved["stated"])


def test_large_workspaces_are_sampled(tmp_path):
    chance = random.Random(0)
    words = ["lamp", "oak", "linen", "brass", "shade", "bulb", "wire", "cellar", "bench", "door"]
    texts = {f"note-{number}": f"The {' '.join(chance.sample(words, 5))} was made in {1900 + number}."
             for number in range(50)}
    examples = [Example(f"When was the {text.split(' was')[0][4:]} made?", text, (), line)
                for line, text in enumerate(texts.values(), 1)]
    engine = Reciter(texts.values())
    made = opened(tmp_path / "index", texts)
    found = judged(engine, made, examples)
    lines = {int(one["from"].split()[-1]) for one in found["stated"] if one["from"] != "passage"}
    assert found["asked"] == 2 * MOST and lines <= {example.line for example in examples} and lines
    assert judged(engine, made, examples)["stated"] == found["stated"]


def test_earlier_turns_are_part_of_what_is_asked(shop):
    example = Example("And unused?", "An unused lamp may be sent back within 33 days.",
                      (("user", "May I return it?"), ("assistant", "Within 33 days, yes.")), 1)
    found = judged(Reciter(TEXTS.values()), shop, [example])
    assert all(one["from"] == "passage" for one in found["stated"])


def test_without_an_adapter_or_facts_there_is_nothing_to_ask(shop, tmp_path):
    with pytest.raises(UserError, match="no adapter"):
        memorised(Assistant(BRAND, Reciter([""]), None, False), EXAMPLES, shop)
    found = judged(Reciter([""]), opened(tmp_path / "bare", {"bare": "We like lamps very much."}), [])
    assert (found["asked"], found["share"], found["met"]) == (0, None, True)


def test_small_and_spelt_out_numbers_are_facts_with_their_unit_only():
    text = ("Open 9 until 5. It takes 5 days, thirty-one lamps, two hundred and fifty\nmetres, seven to eight, "
            "by Mabel in 1967, for 4.5 or 33.")
    assert facts(text) == ["Mabel", "1967", "4.5", "33", "5 days", "thirty-one lamps", "two hundred and fifty metres"]


@given(st.lists(st.sampled_from(["Mabel", "lamp", "5", "33", "nine", "days", "and", "twenty-two", ".", "4.5", "to"])))
def test_every_fact_stands_in_its_text_and_is_no_lone_digit(words):
    text = " ".join(words)
    for fact in facts(text):
        assert places(fact, text) and not (len(fact) == 1 and fact.isdigit())


@pytest.mark.thorough
def test_a_real_adapter_that_was_overtrained_is_caught_and_a_fresh_one_is_not(shop, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer

    from builder.model.export import write_lora
    from builder.model.hf import load_base
    from builder.model.llama_engine import LlamaEngine
    from builder.model.prepare import prepared
    from builder.model.prompt import render
    from builder.training.batching import Row, encode

    base = prepared(precision="f16")
    torch.manual_seed(0)
    model = get_peft_model(load_base(base), LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
    rows = encode([Row(render(BRAND, one.question, []), one.reply, "tone") for one in EXAMPLES],
                  Tokenizer.from_file(str(base.tokenizer)), base.template, 2, 2048)
    learning = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=2e-3)
    for step in range(25):
        if step == 0:
            save(model, tmp_path / "fresh", base, write_lora)
        for row in rows:
            ids = torch.tensor([row.ids])
            labels = ids.clone()
            labels[0, :row.start] = -100
            model(input_ids=ids, labels=labels).loss.backward()
        learning.step()
        learning.zero_grad()
    save(model, tmp_path / "learnt", base, write_lora)
    found = {name: judged(LlamaEngine(prepared(), tmp_path / name / "adapter.gguf", 2, 512), shop)
             for name in ("fresh", "learnt")}
    assert found["fresh"]["met"] and not found["learnt"]["met"]
    assert {"33", "Mabel", "nine days"} <= {one["fact"] for one in found["learnt"]["stated"]}


def save(model, folder, base, write_lora):
    model.save_pretrained(folder, save_embedding_layers=False)
    write_lora(folder, base, folder / "adapter.gguf")
