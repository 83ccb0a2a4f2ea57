"""The report stands alone on one page, says how close the match is, and points to its files."""

import base64
import dataclasses
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from mirrornet.controls import Control, ControlSpace
from mirrornet.export.report import CLOSENESS, in_words, render_report, verdict
from mirrornet.export.views import LOUDEST
from mirrornet.matching.match import Match
from mirrornet.plants import load_plant
from mirrornet.plants.base import Artifact
from mirrornet.score import note_name

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Tags with their attributes and the cells of the table; fails on tags that do not pair."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "script" not in self._open and "style" not in self._open:
            self.text += data
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data

    def values(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(attribute))]


@pytest.fixture
def page(saved: Path) -> Page:
    return Page((saved / "report.html").read_text("utf-8"))


def test_both_sounds_and_their_spectrograms_are_inside(page: Page, saved: Path, match: Match):
    inside = [
        base64.b64decode(attrs["src"].split(",")[1])
        for tag, attrs in page.tags
        if tag == "audio" and attrs["src"]
    ]
    assert inside == [(saved / name).read_bytes() for name in ("target.wav", "match.wav")]
    text = (saved / "report.html").read_text("utf-8")
    data = json.loads(re.findall(r'type="application/json" id="data">(.*?)</script>', text)[0])
    for name, heard in {"target": match.target_heard, "heard": match.heard}.items():
        frames = np.frombuffer(base64.b64decode(data[name]), np.uint8).reshape(-1, len(heard))
        np.testing.assert_allclose(frames.T * LOUDEST / 255, heard, atol=0.6 * LOUDEST / 255)
    assert [note["pitch_midi"] for note in data["notes"]] == [n.pitch_midi for n in match.notes]


@pytest.mark.slow
def test_its_views_work_without_a_server(saved: Path):
    """In a browser, from the file: the scripts are inside."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or pytest.skip("chromium is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags.append("--autoplay-policy=no-user-gesture-required")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((saved / "report.html").as_uri())
        page.click("#play")
        page.wait_for_selector("#play:has-text('Pause')")
        page.keyboard.press("Tab")
        page.click("#hear-b")
        assert page.get_attribute("#hear-b", "aria-pressed") == "true"
        box = page.locator("#view-notes").bounding_box()
        assert box
        page.mouse.move(box["x"] + 50, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 250, box["y"] + 50, steps=3)
        page.mouse.up()
        page.wait_for_selector("#whole:not([disabled])")
        browser.close()
    assert not problems


def test_the_page_needs_no_network_and_its_links_are_files_beside_it(page: Page, saved: Path):
    text = (saved / "report.html").read_text("utf-8")
    without_data = re.sub(r"data:[a-z]+/[a-z]+;base64,[A-Za-z0-9+/=]*", "", text)
    assert "://" not in without_data
    assert "url(" not in without_data
    assert "@import" not in without_data
    assert all(source.startswith("data:") for source in page.values("src"))
    links = page.values("href")
    assert len(links) > 5
    assert all((saved / unquote(link)).is_file() for link in links)


def test_the_table_gives_each_note_and_control_with_units(page: Page, match: Match):
    head, *rows = page.rows
    assert head[:5] == ["note", "pitchMIDI", "startss", "endss", "leveldB"]
    assert len(rows) == len(match.notes)
    for number, (row, note) in enumerate(zip(rows, match.notes, strict=True), start=1):
        assert row[0] == f"{number} · {note_name(note.pitch_midi)}"
        values = [float(cell.replace("−", "-")) for cell in row[1:]]
        wanted = [note.pitch_midi, note.onset_s, note.offset_s, *note.controls.values()]
        assert values == pytest.approx(wanted, rel=5e-3, abs=5e-4)


def test_the_page_says_how_close_the_match_is(page: Page, match: Match):
    error = match.distances["spectrogram_error"]
    assert verdict(error).replace("'", "’") in page.text
    assert page.values("aria-current") == ["true"]
    assert "other distance" in page.text


def test_names_cannot_become_markup(match: Match):
    plant = load_plant("vital", sample_rate_hz=44100)
    plant.name = "<script>alert('plant')</script>"
    nasty = [Control("<i>level", "<b>dB", -20, 0, meaning="</dl>&amp;"), *plant.controls[3:]]
    plant.controls = ControlSpace((*plant.controls[:2], *nasty))
    notes = [
        dataclasses.replace(note, controls={**note.controls, "<i>level": -3.0})
        for note in match.notes
    ]
    distances = {"spectrogram_error": 0.1, "<img src=x>": 1.0}
    score = dataclasses.replace(match.score, notes=notes)
    match = dataclasses.replace(match, plant=plant, score=score, distances=distances)
    artifacts = [
        Artifact("<u>a</u>.vital", bytes, "</dd>what it is"),
        *(Artifact(f'presets/"><b>{n}.vital', bytes, "<s>each", n) for n in range(5)),
    ]
    text = render_report(match, b"", b"", b"", artifacts, ["<em>fault"])
    page = Page(text)
    assert "<script>alert('plant')</script>" in page.text
    assert "<i>level<b>dB" in page.rows[0]
    assert "<img src=x>" in page.text
    assert "</dl>&amp;" in page.text
    assert "<u>a</u>.vital" in page.text
    assert "</dd>what it is" in page.text
    assert "<s>each" in page.text
    assert "<em>fault" in page.text
    links = [unquote(link) for link in page.values("href")]
    assert {f'presets/"><b>{n}.vital' for n in range(5)} <= set(links)
    assert [tag for tag, _ in page.tags].count("script") == 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (0.0, "nearly identical"),
        (0.01, "nearly identical"),
        (0.011, "very close"),
        (0.15, "close"),
        (0.4, "similar"),
        (1.0, "far off"),
        (1.58, "no match"),
        (math.inf, "no match"),
        (math.nan, "not measurable"),
    ],
)
def test_in_words(error: float, words: str):
    assert in_words(error) == words


def test_thresholds_rise():
    limits = [limit for limit, _ in CLOSENESS]
    assert limits == sorted(set(limits))


def test_what_cannot_be_measured_is_said():
    assert verdict(math.nan) == "How far the match is from the target could not be measured."
