"""The page in a real browser: it asks for nothing, can be used by everybody, and no text of a PC becomes more."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provmode.ccm.verdict import SEVERITY, Verdict
from provmode.report.page.data import HostRow, PageData
from provmode.report.page.render import render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
MakeRow = Callable[..., HostRow]
MakePage = Callable[..., PageData]
HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(2)>',
    "<!--<script>alert(3)</script>",
    "<iframe src=javascript:alert(4)>",
    "\u202egnp.exe",
    "line\u2028line",
    "`code` <b>bold</b> `",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Its sandbox cannot be used by root."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield running
        running.close()


@dataclass
class Opened:
    """A page, and what happened in it."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """Errors in the console, errors of the script, and dialogs."""

    def names(self) -> list[str]:
        """Return the PCs that the list shows."""
        found: list[str] = self.page.locator("#table tbody th").all_inner_texts()
        return found

    def filter(self, words: str) -> list[str]:
        """Filter by words, and return the PCs."""
        self.page.get_by_label("Name, finding or next step").fill(words)
        return self.names()

    def sort(self, column: str) -> list[str]:
        """Sort by a column, and return the PCs."""
        self.page.get_by_role("button", name=column, exact=True).click()
        return self.names()

    def sorted_by(self) -> dict[str, str]:
        """Return how the columns are sorted, as a screen reader is told."""
        heads = self.page.locator("#table thead th").all()
        return {head.inner_text(): str(head.get_attribute("aria-sort")) for head in heads}


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Callable[..., Any]:
    """Open a page from its file; at the end nothing must have gone wrong and nothing have been asked for."""

    @contextmanager
    def open_page(data: PageData, **options: Any) -> Iterator[Opened]:
        path = tmp_path / "page.html"
        path.write_text(render(data), "utf-8")
        context = browser.new_context(**options)
        context.set_default_timeout(120_000)  # a busy machine is not a failure
        page = context.new_page()
        found = Opened(page, path.as_uri())
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("console", lambda message: found.troubles.append(message.text))
        page.on("pageerror", lambda error: found.troubles.append(str(error)))
        page.on("dialog", lambda dialog: (found.troubles.append(dialog.message), dialog.dismiss()))
        page.goto(found.address)
        yield found
        assert found.troubles == []
        assert found.requests == [found.address]
        context.close()

    return open_page


def rows_of(*names: str, **changes: Any) -> list[HostRow]:
    return [HostRow(name, Verdict.STUCK, "so it is", **changes) for name in names]


# -- the list -------------------------------------------------------------------------------------------------------


def test_it_shows_its_list_and_asks_for_nothing(opened: Any, everything: PageData) -> None:
    with opened(everything) as it:
        assert it.page.title().startswith("30 of 160 PCs need something")
        assert len(it.names()) == 50
        assert it.page.locator("#shown").inner_text() == "60 PCs; 1 to 50 shown"


def test_the_page_would_notice_a_request_and_an_error(opened: Any, everything: PageData) -> None:
    with opened(everything) as it:
        with it.page.expect_console_message(lambda message: "Content Security Policy" in message.text):
            it.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://192.0.2.1/x.png'}))")
        with it.page.expect_console_message(lambda message: message.text == "planted"):
            it.page.evaluate("console.error('planted')")

        assert any("Content Security Policy" in trouble for trouble in it.troubles)
        assert "planted" in it.troubles
        it.troubles.clear()
        it.requests[1:] = []


def test_pcs_are_filtered_by_every_word_of_name_finding_and_next_step(opened: Any, make_page: MakePage) -> None:
    rows = [
        HostRow("PC-1", Verdict.STUCK, "in the mode", findings=("its clock is wrong",)),
        HostRow("PC-2", Verdict.ARMED, "MobileClient.TCF would bring it back"),
        HostRow("PC-3", Verdict.UNASSESSED, "no answer", "connect-timeout", "try again when it is on"),
        HostRow("LAPTOP-3", Verdict.UNASSESSED, "refused", "auth", "check the password"),
    ]
    with opened(make_page(rows)) as it:
        assert it.filter("pc-") == ["PC-1", "PC-2", "PC-3"]
        assert it.filter("TCF bring") == ["PC-2"]
        assert it.filter("clock") == ["PC-1"]
        assert it.filter("password laptop") == ["LAPTOP-3"]
        assert it.filter("nowhere") == []
        assert it.page.locator("#shown").inner_text() == "0 PCs, of 4 in the list"
        assert it.filter(".*") == []


def test_pcs_are_filtered_by_verdict_and_cause(opened: Any, make_page: MakePage) -> None:
    rows = [
        *rows_of("A", "B"),
        HostRow("C", Verdict.UNASSESSED, "no answer", "connect-timeout"),
        HostRow("D", Verdict.UNASSESSED, "refused", "auth"),
    ]
    with opened(make_page(rows)) as it:
        verdict = it.page.get_by_label("Verdict", exact=True)
        options = verdict.locator("option").all_inner_texts()
        found = {}
        for option in options:
            verdict.select_option(label=option)
            found[option] = it.names()

    assert found == {
        "all": ["A", "B", "C", "D"],
        "stuck (2)": ["A", "B"],
        "unassessed (2)": ["C", "D"],
        "unassessed: auth (1)": ["D"],
        "unassessed: connect-timeout (1)": ["C"],
    }


def test_names_are_sorted_with_their_numbers_as_numbers(opened: Any, make_page: MakePage) -> None:
    with opened(make_page(rows_of("PC-10", "pc-9", "PC-2", "AB-100"))) as it:
        assert it.sort("PC") == ["AB-100", "PC-2", "pc-9", "PC-10"]
        assert it.sorted_by()["PC"] == "ascending"
        assert it.sort("PC") == ["PC-10", "pc-9", "PC-2", "AB-100"]
        assert it.sorted_by() == {
            "PC": "descending",
            "Verdict": "none",
            "In the mode": "none",
            "Since (UTC)": "none",
            "Found, and what to do next": "none",
        }


def test_times_in_the_mode_are_sorted_as_numbers_and_unknown_ones_stay_last(opened: Any, make_page: MakePage) -> None:
    rows = [
        *rows_of("week", in_mode=7 * 86_400 + 60),
        *rows_of("unknown"),
        *rows_of("hour", in_mode=3_700),
        *rows_of("days", in_mode=2 * 86_400),
    ]
    with opened(make_page(rows)) as it:
        assert it.sort("In the mode") == ["week", "days", "hour", "unknown"]
        assert it.page.locator("#table tbody td:nth-child(3)").all_inner_texts() == [
            *("7 days 0 h", "2 days 0 h", "1 h 1 min", "")
        ]
        assert it.sort("In the mode") == ["hour", "days", "week", "unknown"]


def test_times_are_sorted_as_times_and_are_utc_wherever_the_reader_is(
    opened: Any, make_page: MakePage, everything: PageData
) -> None:
    began = everything.run.began
    rows = [
        *rows_of("later", since=began.replace(month=11)),
        *rows_of("unknown"),
        *rows_of("earlier", since=began.replace(month=9)),
    ]
    with opened(make_page(rows), timezone_id="Pacific/Auckland", locale="de-DE") as it:
        assert it.sort("Since (UTC)") == ["earlier", "later", "unknown"]
        assert it.page.locator("#table tbody td:nth-child(4)").all_inner_texts() == [
            *("2026-09-26 02:00", "2026-11-26 02:00", "")
        ]


def test_verdicts_are_sorted_by_their_urgency(opened: Any, make_page: MakePage) -> None:
    rows = [HostRow(verdict.value, verdict, "so it is", findings=("x",)) for verdict in sorted(Verdict)]

    with opened(make_page(rows)) as it:
        assert it.sort("Verdict") == [verdict.value for verdict in SEVERITY]


def test_the_list_is_turned_page_by_page(opened: Any, make_page: MakePage) -> None:
    with opened(make_page(rows_of(*(f"PC-{number:03}" for number in range(120))))) as it:
        pages = {}
        for button in ("Next", "Next", "Next", "Previous", "First", "Previous", "Last"):
            it.page.get_by_role("button", name=button, exact=True).click(force=True)  # some lead nowhere
            pages[f"{len(pages)} {button}"] = (it.names()[0], len(it.names()), it.page.locator("#page").inner_text())

        assert list(pages.values()) == [
            ("PC-050", 50, "page 2 of 3"),
            ("PC-100", 20, "page 3 of 3"),
            ("PC-100", 20, "page 3 of 3"),
            ("PC-050", 50, "page 2 of 3"),
            ("PC-000", 50, "page 1 of 3"),
            ("PC-000", 50, "page 1 of 3"),
            ("PC-100", 20, "page 3 of 3"),
        ]
        assert it.filter("PC-00") == [f"PC-{number:03}" for number in range(10)]
        assert not it.page.locator("#pages").is_visible()


def test_an_unassessed_pc_has_what_it_was_when_it_was_last_assessed(opened: Any, everything: PageData) -> None:
    with opened(everything) as it:
        it.filter("PC-00002")

        row = it.page.locator("#table tbody tr").inner_text()
        assert "unassessed" in row
        assert "connect-timeout" in row
        assert "last known: stuck, 2026-11-23 02:00" in row
        assert "try again when it is on" in row


# -- for everybody --------------------------------------------------------------------------------------------------


def focused(it: Opened) -> str:
    """Return what has the focus: its label or text."""
    words = "document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent.trim()"
    return str(it.page.evaluate(words))


def test_everything_can_be_done_by_keyboard_and_the_focus_is_seen(opened: Any, everything: PageData) -> None:
    with opened(everything) as it:
        keyboard = it.page.keyboard
        keyboard.press("Tab")
        assert focused(it) == "To the content"
        assert it.page.locator(".skip").bounding_box()["x"] >= 0
        keyboard.press("Enter")
        assert it.page.evaluate("document.activeElement.id") == "main"

        stops = []
        while not stops or stops[-1] != "Last":
            keyboard.press("Tab")
            stops.append(focused(it))
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert it.page.evaluate(outline) == "solid", stops[-1]
            if stops[-1] == "The same as a table":
                keyboard.press("Enter")
                assert it.page.locator("details").get_attribute("open") is not None
            if stops[-1].startswith("Name, finding"):
                keyboard.type("corp")
            if stops[-1] == "PC":
                keyboard.press("Enter")
                assert it.sorted_by()["PC"] == "ascending"
                keyboard.press("Space")
                assert it.sorted_by()["PC"] == "descending"
                assert focused(it) == "PC"
            if stops[-1] == "Next":
                keyboard.press("Enter")
                assert it.page.locator("#page").inner_text() == "page 2 of 2"
                assert focused(it) == "Next"
        assert stops == [
            "The same as a table",
            "Name, finding or next step",
            "Verdict",
            *("PC", "Verdict", "In the mode", "Since (UTC)", "Found, and what to do next"),
            *("First", "Previous", "Next", "Last"),
        ]


@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Any, everything: PageData, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with opened(everything, color_scheme=scheme, viewport={"width": width, "height": 800}) as it:
        it.page.locator("summary").click()
        it.sort("In the mode")

        results = Axe().run(it.page).response

        assert [(each["id"], each["nodes"][0]["html"]) for each in results["violations"]] == []
        assert {"color-contrast", "label", "landmark-one-main"} <= {each["id"] for each in results["passes"]}
        unsure = {each["id"] for each in results["incomplete"]}
        assert unsure <= {"color-contrast"}, results["incomplete"]  # text over a drawing


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_nothing_is_wider_than_the_screen(opened: Any, everything: PageData, width: int) -> None:
    with opened(everything, viewport={"width": width, "height": 800}) as it:
        assert it.page.evaluate("document.documentElement.scrollWidth") == width
        for box in it.page.locator("#table tbody tr").all()[:5]:
            assert box.bounding_box()["width"] <= width


def test_what_is_wider_than_its_place_can_be_scrolled_by_keyboard(opened: Any, everything: PageData) -> None:
    with opened(everything, viewport={"width": 320, "height": 800}) as it:
        drawing = it.page.get_by_role("region", name="Drawing of compliance over time")

        drawing.focus()
        it.page.evaluate(
            "(() => { const each = document.activeElement; window.scrolled = new Promise((done) => "
            "each.addEventListener('scroll', () => done(each.scrollLeft), {once: true})); })()"
        )
        it.page.keyboard.press("ArrowRight")

        assert it.page.evaluate("window.scrolled") > 0


def test_who_wants_less_motion_has_none(opened: Any, everything: PageData) -> None:
    behavior = "getComputedStyle(document.documentElement).scrollBehavior"
    with opened(everything, reduced_motion="reduce") as it:
        assert it.page.evaluate(behavior) == "auto"


def test_dark_and_light_are_as_the_reader_has_them(opened: Any, everything: PageData) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    grounds = {}
    for scheme in ("light", "dark"):
        with opened(everything, color_scheme=scheme) as it:
            grounds[scheme] = [int(each) for each in re.findall(r"\d+", it.page.evaluate(paper))[:3]]
            it.page.emulate_media(media="print")
            grounds[f"{scheme} printed"] = [int(each) for each in re.findall(r"\d+", it.page.evaluate(paper))[:3]]

    assert min(grounds["light"]) > 240
    assert max(grounds["dark"]) < 40
    assert grounds["light printed"] == grounds["dark printed"] == grounds["light"]


def test_it_prints_with_its_table_open_and_without_what_only_a_screen_needs(opened: Any, everything: PageData) -> None:
    with opened(everything) as it:
        it.page.evaluate(
            "addEventListener('beforeprint', () => { window.was = document.querySelector('details').open; })"
        )

        pdf = it.page.pdf()

        assert pdf.startswith(b"%PDF-")
        assert len(pdf) > 20_000
        assert it.page.evaluate("window.was") is True
        assert it.page.locator("details").get_attribute("open") is None
        it.page.emulate_media(media="print")
        for away in ("#filter", "#pages", "header nav"):
            assert not it.page.locator(away).is_visible()
        assert it.page.locator("#table tbody tr").count() == 50


def test_without_javascript_everything_but_the_list_is_there(opened: Any, everything: PageData) -> None:
    with opened(everything, java_script_enabled=False) as it:
        text = it.page.locator("main").inner_text()

        assert "30 of 160 PCs need something; 140 assessed, 20 not." in text
        for words in (
            "PC-00100, PC-00101, PC-00102, PC-00103",
            "in provisioning mode, nothing runs; it should have left in time: take it out",
            "PC-00056.corp.example.com",
            "CHG0012345",
            "Anna Berg, CHG0012345: rebuilt",
            "This list needs JavaScript, which is off here.",
        ):
            assert words in text
        assert it.page.locator("svg.trend").is_visible()
        assert not it.page.locator("#list").is_visible()
        it.page.locator("summary").click()
        assert it.page.locator("details table").is_visible()


# -- hostile and large ----------------------------------------------------------------------------------------------


def hostile_rows(text: str, count: int) -> list[HostRow]:
    return [
        HostRow(
            f"{text}{number}",
            SEVERITY[number % len(SEVERITY)],
            f"{text} said {number}",
            text if SEVERITY[number % len(SEVERITY)] is Verdict.UNASSESSED else "",
            f"{text} next",
            last_verdict=Verdict.STUCK,
            findings=(text,),
        )
        for number in range(count)
    ]


def elements(it: Opened) -> Counter[str]:
    """Return the names of all elements but those of commands in sentences, and of places where a name may be broken."""
    found = it.page.evaluate("[...document.querySelectorAll('*')].map((each) => each.localName)")
    return Counter(name for name in found if name not in ("code", "wbr"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_reasons_stay_text(opened: Any, make_page: MakePage, text: str) -> None:
    def page(text: str) -> PageData:
        data = make_page(hostile_rows(text, 60))
        known = replace(data.waivers[0], about=text, owner=text, ticket=text, reason=text, expires=text)
        return replace(data, run=replace(data.run, inventory=text, who=text), waivers=(known,))

    with opened(page("words")) as it:
        plain = elements(it)
    with opened(page(text)) as it:
        assert elements(it) == plain
        for column in ("PC", "Verdict", "Found, and what to do next"):
            it.sort(column)
        shown = " ".join("".join(each if each.isprintable() else "\ufffd" for each in text).split())
        assert it.filter("1")[0].startswith(shown)
        assert elements(it)["img"] == elements(it)["iframe"] == 0
        assert it.page.locator("h1").inner_text() == shown


def test_a_name_from_right_to_left_stays_in_its_place(opened: Any, make_page: MakePage) -> None:
    with opened(make_page(rows_of("מחשב-7", "PC-8"))) as it:
        it.filter("7")

        cell, name = (it.page.locator(f"#table tbody {each}").first.bounding_box() for each in ("th", "bdi"))
        assert name["x"] - cell["x"] < 3


def test_ten_thousand_pcs_can_be_filtered_sorted_and_turned(
    opened: Any, make_page: MakePage, make_row: MakeRow
) -> None:
    rows = [*map(make_row, range(9_900)), *hostile_rows(HOSTILE[0], 100)]

    with opened(make_page(rows, nights=365)) as it:
        assert it.page.locator("#shown").inner_text() == "10,000 PCs; 1 to 50 shown"
        assert it.page.locator("#page").inner_text() == "page 1 of 200"
        assert it.filter("PC-09899") == ["PC-09899.corp.example.com"]
        it.filter("")
        assert it.sort("PC")[0] == f"{HOSTILE[0]}0"
        it.page.get_by_role("button", name="Last", exact=True).click()
        assert it.names()[-1] == "PC-09899.corp.example.com"
        assert it.page.locator("#table tbody tr").count() == 50
