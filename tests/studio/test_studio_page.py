"""The studio's page in a real browser: Debian's chromium, driven by Playwright."""

import csv
import json
import shutil
import zipfile
from contextlib import contextmanager
from io import StringIO

import numpy as np
import pytest
import soundfile
from studio_client import served

from mirrornet.app.studio.server import Settings
from mirrornet.export.playing import play, read_score

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
SLOW_MS = 180_000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory, sung):
    folder = tmp_path_factory.mktemp("compare") / "trial"
    folder.mkdir()
    for name, pitches in {"target": (60, 62), "one": (60, 62), "two": (60, 63)}.items():
        (folder / f"{name}.wav").write_bytes(sung(*pitches))
    runs = tmp_path_factory.mktemp("runs")
    with served(Settings(0, (), runs, (folder.parent,), workers=1)) as (_, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def opened(browser, address, **options):
    """The open page; it fails the test if the page logs an error or asks for anything elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    problems: list[str] = []

    def note_foreign(request) -> None:
        if not request.url.startswith((address, "blob:", "data:")):
            problems.append(request.url)

    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", note_foreign)
    page.goto(address)
    page.wait_for_selector("#examples button")
    yield page
    context.close()
    assert not problems


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        yield page


@pytest.fixture
def inspected(browser, address):
    """A page in which tests run scripts of their own, which its policy forbids."""
    with opened(browser, address, bypass_csp=True) as page:
        yield page


def matched(page, sound: bytes, name: str = "tune.wav", timbre: str = "knobs") -> None:
    """Give the page a sound, and wait for its match."""
    page.select_option("#timbre", timbre)
    page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": sound})
    page.wait_for_selector("#patch-controls .control")


def pitches_of(page) -> list[int]:
    """The pitches of the notes in order, stepped through with the keyboard."""
    page.focus("#roll")
    for _ in range(12):  # back to the first
        page.keyboard.press("ArrowLeft")
    found, head = [], ""
    while (shown := page.inner_text("#note-controls p")) != head:
        head = shown
        found.append(int(page.inner_text("#note-controls .control output >> nth=0").split()[0]))
        page.keyboard.press("ArrowRight")
    return found


def test_from_a_file_to_a_preset(page, sung, tmp_path):
    matched(page, sung(60, 64, 67), "<b>my & tune.wav")
    assert page.inner_text("#sound-name") == "b_my _ tune"  # of HTML nothing is left
    assert "%" in page.inner_text("#verdict")
    assert pitches_of(page) == [60, 64, 67]

    page.keyboard.press("ArrowUp")  # the last note, a semitone up
    assert pitches_of(page)[-1] == 68
    page.keyboard.press("z")
    assert pitches_of(page)[-1] == 67

    cutoff = page.locator("#control-patch-cutoff")
    before = cutoff.input_value()
    cutoff.focus()
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
    page.wait_for_selector("#play-time:has-text('ms')")
    page.wait_for_selector("#predict-time:has-text('ms')")
    assert cutoff.input_value() > before
    page.click("#reset")
    assert float(cutoff.input_value()) == pytest.approx(float(before), abs=1e-6)

    with page.expect_download() as download:
        page.click("#zip")
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        archive.extractall(tmp_path)
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    again = play(read_score(folder / "controls.json"), None, 44100)
    saved, _ = soundfile.read(folder / "match.wav")
    length = min(len(again), len(saved))
    assert np.corrcoef(again[:length], saved[:length])[0, 1] > 0.999


def test_knobs_are_heard_while_the_wavetable_is_fitted(page, sung):
    matched(page, sung(60, 64), timbre="")
    assert page.inner_text("#versions li:nth-child(1)").startswith("knobs")
    page.wait_for_selector("#versions li:nth-child(2)")
    shown = page.locator("#versions span").all_inner_texts()
    errors = [float(text.split("%")[0]) for text in shown]
    chosen = page.locator("#versions button[aria-pressed=true]").inner_text()
    assert chosen.startswith("wavetable" if errors[1] < errors[0] else "knobs")


def test_listening_switches_loops_and_seeks(page, sung):
    matched(page, sung(60, 64))
    page.click("#play")
    assert page.inner_text("#play") == "Pause"
    page.keyboard.press("Escape")
    page.locator("body").press("a")
    assert page.get_attribute("#hear-a", "aria-pressed") == "true"
    page.locator("body").press("b")
    assert page.get_attribute("#hear-b", "aria-pressed") == "true"
    box = page.locator("#roll").bounding_box()
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 20, steps=5)
    page.mouse.up()
    page.wait_for_timeout(300)
    at_s = float(page.inner_text("#clock").split()[0])
    assert 0.55 <= at_s <= 0.9
    assert page.is_enabled("#whole")
    page.click("#whole")
    assert page.is_disabled("#whole")
    page.click("#play")
    assert page.inner_text("#play") == "Play"


def test_what_is_heard_has_no_gap_and_no_click(inspected):
    """The player's output, rendered offline with its own code: a switch and a replaced sound."""
    heard = inspected.evaluate(
        """async () => {
          const { Player } = await import("/page/player.js");
          const rate = 44100;
          const tone = (hz, gain) => Float32Array.from({ length: rate }, (_, n) =>
            gain * Math.sin((2 * Math.PI * hz * n) / rate));
          const player = new Player();
          player.context = new OfflineAudioContext(1, 2 * rate, rate);
          player.context.resume = () => {};
          player.set("a", tone(440, 0.3), rate);
          player.set("b", tone(440, 0.1), rate);
          player.loop = [0.1, 0.6];
          player.play();
          const switching = player.context.suspend(0.5).then(() => {
            player.hear("b");
            OfflineAudioContext.prototype.resume.call(player.context);
          });
          const replacing = player.context.suspend(1.0).then(() => {
            player.set("b", tone(440, 0.2), rate);
            OfflineAudioContext.prototype.resume.call(player.context);
          });
          const buffer = await player.context.startRendering();
          await Promise.all([switching, replacing]);
          return Array.from(buffer.getChannelData(0));
        }"""
    )
    sound = np.array(heard)
    steps = np.abs(np.diff(sound[4000:]))
    assert steps.max() < 1.3 * 0.3 * 2 * np.pi * 440 / 44100  # no click
    loud = np.sqrt(np.convolve(np.square(sound), np.ones(441) / 441, "valid"))[4000:]
    assert loud.min() > 0.12  # no gap
    assert loud[-2000:].mean() == pytest.approx(0.3 / np.sqrt(2), rel=0.02)  # B is as loud as A


def test_refinement_is_seen_and_can_be_stopped(page, sung):
    matched(page, sung(57, 62))
    page.select_option("#renders", "200")
    page.click("#refine")
    page.wait_for_selector("#progress-text:has-text('Refining')")
    page.click("#stop")
    page.wait_for_selector("#versions li:nth-child(2)")
    assert "refined" in page.inner_text("#versions li:nth-child(2)")
    errors = [
        float(text.split("%")[0]) for text in page.locator("#versions span").all_inner_texts()
    ]
    assert errors[1] <= errors[0]
    page.wait_for_selector("#morph-row:not([hidden])")
    page.locator("#morph").fill("0.5")
    page.wait_for_selector("#play-time:has-text('ms')")


def test_notes_are_edited_with_the_mouse(page, sung):
    matched(page, sung(60, 64))
    box = page.locator("#roll").bounding_box()

    def at(seconds: float, pitch: float) -> tuple[float, float]:
        channel = 31 + 2 * (pitch - 57)
        return (
            box["x"] + seconds * box["width"],
            box["y"] + (1 - (channel + 0.5) / 176) * box["height"],
        )

    page.mouse.dblclick(*at(0.75, 75))
    assert sorted(pitches_of(page)) == [60, 64, 75]
    page.mouse.move(*at(0.2, 60))
    page.mouse.down()
    page.mouse.move(*at(0.2, 67), steps=4)
    page.mouse.up()
    assert sorted(pitches_of(page)) == [64, 67, 75]
    page.keyboard.press("Delete")
    assert len(pitches_of(page)) == 2


def test_wrong_files_are_refused_in_a_sentence(page):
    page.set_input_files(
        "#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"<script>alert(1)</script>"}
    )
    page.wait_for_selector("#notice:not([hidden])")
    assert page.inner_text("#notice").endswith(".")
    assert page.is_visible("#drop")


def test_a_recording_by_microphone_is_taken(page):
    page.click("#record")
    page.wait_for_timeout(1200)
    page.click("#record")  # a beep of the browser's
    page.wait_for_selector("#patch-controls .control, #notice:not([hidden])")


def test_a_listening_test_ends_in_a_csv_file(page, tmp_path):
    page.click("#tabs a[href='#compare']")
    page.wait_for_selector("#compare-test option", state="attached")
    page.fill("#compare-listener", "=Anna")
    page.click("#compare-begin")
    page.wait_for_selector(".graded")
    rows = page.locator(".graded")
    assert rows.count() == 4  # two sounds, the hidden reference, the anchor
    assert page.is_disabled("#compare-next")
    for number in range(4):
        page.locator("body").press(str(number + 1))
        rows.nth(number).locator("input").fill(str(20 * number))
    page.click("#compare-next")
    with page.expect_download() as download:
        page.click("#compare-csv")
    download.value.save_as(tmp_path / "grades.csv")
    table = list(csv.DictReader(StringIO((tmp_path / "grades.csv").read_text())))
    assert {row["stimulus"] for row in table} == {"one", "two", "hidden reference", "anchor"}
    assert sorted(int(row["score"]) for row in table) == [0, 20, 40, 60]
    assert {row["listener"] for row in table} == {"'=Anna"}  # no formula for a spreadsheet


def test_a_run_is_watched_stopped_and_resumed(page, sung, tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for pitch in (60, 65):
        (folder / f"{pitch}.wav").write_bytes(sung(pitch, pitch + 2))
    page.click("#tabs a[href='#learn']")
    page.fill("#learn-new", "mine")
    page.set_input_files("#learn-files", str(folder))
    page.wait_for_selector("#learn-state:has-text('Babbling')")
    page.click("#learn-stop")
    page.wait_for_selector("#learn-resume:not([hidden])")
    assert "stopped" in page.inner_text("#learn-state")
    page.click("#learn-resume")
    page.wait_for_selector("#learn-state:has-text('Babbling')")
    page.click("#learn-stop")
    page.wait_for_selector("#learn-resume:not([hidden])")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_use_it(inspected, sung, scheme):
    page = inspected
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    found = [axe.run(page)]
    matched(page, sung(60, 62))
    page.keyboard.press("ArrowRight")
    found.append(axe.run(page))
    for tab in ("learn", "compare"):
        page.click(f"#tabs a[href='#{tab}']")
        page.wait_for_timeout(300)
        found.append(axe.run(page))
    grave = [
        (one["id"], node["html"][:120])
        for result in found
        for one in result.response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert not grave, json.dumps(grave, indent=1)


def test_it_fits_a_phone(inspected, sung):
    page = inspected
    matched(page, sung(60, 62))
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(200)
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= 390


def test_two_tabs_do_not_disturb_each_other(page, sung):
    matched(page, sung(60, 62))
    other = page.context.new_page()
    other.set_default_timeout(SLOW_MS)
    other.goto(page.url)
    other.wait_for_selector("#examples button")
    matched(other, sung(70, 72))
    assert pitches_of(other) == [70, 72]
    assert pitches_of(page) == [60, 62]
