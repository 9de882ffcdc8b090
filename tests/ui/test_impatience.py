"""What people do while a reply is on its way, and on a phone, through real Chromium."""

import re

from tests.ui.browser import NARROW
from tests.ui.browser import tab as open_tab

QUESTIONS = ("How long may I keep a lamp before I return it?", "How many watts has the bulb?")


def test_a_second_question_while_one_is_answered_loses_neither(tab):
    tab.open("chat")
    box = tab.page.get_by_test_id("stChatInputTextArea")
    for question in QUESTIONS:
        box.fill(question)
        tab.page.keyboard.press("Enter")
    tokens = tab.page.get_by_test_id("stCaptionContainer").filter(has_text=re.compile(r"\d tokens"))
    tokens.nth(1).wait_for()
    tab.settle()
    turns = tab.page.get_by_test_id("stChatMessage")
    said = [" ".join(text.split()) for text in turns.all_inner_texts()]
    assert len(said) == 4 and [said[0], said[2]] == [f"person {question}" for question in QUESTIONS]
    tab.check()


def test_the_former_replies_are_out_of_sight_while_a_blind_comparison_is_asked(tab):
    tab.open("compare")
    tab.page.get_by_text("Hide the system names").click()
    tab.page.get_by_label("Question", exact=True).fill(QUESTIONS[0])
    tab.page.get_by_role("button", name=re.compile("Ask all")).click()
    tab.page.get_by_role("button", name="None is better").wait_for()
    tab.settle()
    before = tab.page.get_by_test_id("stText").all_inner_texts()
    tab.page.get_by_label("Question", exact=True).fill(QUESTIONS[1])
    tab.page.get_by_role("button", name=re.compile("Ask all")).click()
    tab.page.get_by_text("Thinking…").nth(3).wait_for()
    assert not {*before} & {*tab.page.locator("[data-testid=stColumn] [data-testid=stText]").all_inner_texts()}
    tab.page.get_by_role("button", name="None is better").wait_for()
    tab.check()


def test_on_a_phone_the_chat_opens_at_its_start(browser, served):
    with open_tab(browser, served, size=NARROW) as phone:
        phone.open("chat")
        main = phone.page.locator("[data-testid=stMain], [data-testid=stAppScrollToBottomContainer]").first
        assert main.evaluate("one => one.scrollTop") == 0
        assert phone.page.get_by_role("heading", level=1).is_visible()
        box = phone.page.get_by_test_id("stChatInput").bounding_box()
        assert box["y"] + box["height"] <= NARROW["height"]
        phone.ask(QUESTIONS[0])
        phone.check()
