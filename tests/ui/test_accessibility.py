"""Every page by axe, wide and narrow, light and dark; by keyboard alone; and none that scrolls sideways."""

import pytest

from tests.ui.browser import NARROW, WIDE, tab

GRAVE = {"moderate", "serious", "critical"}
NOT_OURS = {
    # Streamlit's own menu for narrow windows puts each section's heading and its list's entries into bare boxes.
    "list": '[data-testid="stSidebarNavItems"]', "listitem": '[data-testid="stSidebarNavItems"]',
}
"""What Streamlit draws and no page or theme can mend: the rule, and all that it is let pass for."""
FOCUSED = "() => document.activeElement.getAttribute('data-testid') || document.activeElement.tagName"
REACH = 60
"""Steps of the Tab key that anything on a page may be away."""
ASKED = "How wide can a linen shade be?"


def resized(seen, size):
    """Make the window so wide, and wait until the menu has taken the form that goes with it."""
    seen.page.set_viewport_size(size)
    seen.page.get_by_test_id("stTopNav" if size == WIDE else "stExpandSidebarButton").wait_for()
    seen.settle()


def grave(page):
    """What axe finds that keeps people out: rule, element and why."""
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for fault in Axe().run(page).response["violations"]:
        for node in fault["nodes"] if fault["impact"] in GRAVE else []:
            place = page.locator(node["target"][0]).first
            if fault["id"] in NOT_OURS and place.evaluate("(one, by) => !!one.closest(by)", NOT_OURS[fault["id"]]):
                continue
            found.append(f"{fault['id']}: {node['html'][:200]}: {' '.join(node['failureSummary'].split())[:300]}")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page_wide_or_narrow(browser, served, scheme):
    found = {}
    with tab(browser, served, scheme) as seen:
        seen.open()
        pages = seen.titles()
        seen.visit("Chat")
        seen.ask(ASKED)
        for title in pages:
            seen.visit(title)
            if title == "Report":
                seen.page.get_by_text("Run extra tests").click()
                seen.choose("More systems to compare", "Select all")  # each is then a word on the accent
                seen.page.locator("[data-tag]").first.wait_for()
                choices = seen.page.get_by_role("listbox")
                for _ in range(50):  # the key is not heard while the page is drawn anew
                    if not choices.count():
                        break
                    seen.page.keyboard.press("Escape")
                    seen.page.wait_for_timeout(200)
            for size in (WIDE, NARROW):
                resized(seen, size)
                found[f"{title}, {size['width']} px"] = grave(seen.page)
            resized(seen, WIDE)
    assert len(found) == 2 * len(pages) >= 14
    assert {place: faults for place, faults in found.items() if faults} == {}


def test_no_page_scrolls_sideways_in_a_narrow_window(browser, served):
    too_wide = {}
    with tab(browser, served) as seen:
        seen.open()
        for title in seen.titles():
            seen.visit(title)
            resized(seen, NARROW)
            # What lies over the edge counts although the frame hides it; a table scrolls within its own box.
            too_wide[title] = seen.page.evaluate("""width => [...document.querySelectorAll('h1, h2, p, button, input')]
                .filter(one => one.checkVisibility() && one.getBoundingClientRect().right > width + 1
                               && !one.closest('[data-testid="stDataFrame"], [data-testid="stSidebar"]'))
                .map(one => one.outerHTML.slice(0, 120))""", NARROW["width"])
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], title
            resized(seen, WIDE)
    assert {title: found for title, found in too_wide.items() if found} == {}


def walk(page, until, key="Tab"):
    """Press Tab until the focus is on what is wished for; every stop on the way, in order."""
    stops = []
    for _ in range(REACH):
        page.keyboard.press(key)
        stops.append(page.evaluate(FOCUSED))
        if stops[-1] == until:
            return stops
    raise AssertionError(f"{until} can't be reached; the stops are {stops}")


def test_by_keyboard_alone_a_question_is_asked_and_its_sources_are_opened(tab):
    tab.open("chat")
    walk(tab.page, "stChatInputTextArea")
    tab.page.keyboard.type(ASKED)
    tab.page.keyboard.press("Enter")
    reply = tab.page.get_by_test_id("stChatMessage").nth(1)
    reply.get_by_test_id("stCaptionContainer").filter(has_text="tokens").wait_for()
    assert reply.get_by_test_id("stText").first.inner_text().strip()
    tab.settle()
    assert not reply.locator("details[open]").count()
    walk(tab.page, "SUMMARY", "Shift+Tab")  # back from the field to what lies below the reply
    tab.page.keyboard.press("Enter")
    reply.locator("details[open]").get_by_test_id("stText").first.wait_for()


def test_the_focus_can_be_seen_wherever_it_goes(tab):
    tab.open("chat")
    without, stops, unseen = tab.page.screenshot(animations="disabled"), [], []
    while "stChatInputTextArea" not in stops and len(stops) < REACH:
        tab.page.keyboard.press("Tab")
        stops.append(tab.page.evaluate(FOCUSED))
        if tab.page.screenshot(animations="disabled") == without:
            unseen.append(tab.page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
    assert stops[-1] == "stChatInputTextArea" and unseen == []
