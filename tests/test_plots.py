"""Pictures show what they say, where their axes say it."""

import dataclasses
import io
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from mirrornet.export.plots import compare, panels
from mirrornet.features import hear
from mirrornet.matching.match import Match
from mirrornet.score import Score, note_name


def pixels(image: AxesImage) -> np.ndarray:
    return np.asarray(image.get_array())


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


@pytest.mark.parametrize("frequency_hz", [250, 500, 1000, 2000])
def test_a_tone_lies_at_its_tick(match: Match, frequency_hz: int):
    seconds = np.arange(88200) / 44100
    tone = hear(np.sin(2 * np.pi * frequency_hz * seconds).astype(np.float32), 44100)
    axis = compare(dataclasses.replace(match, target_heard=tone)).axes[0]
    labels = [label.get_text() for label in axis.get_yticklabels()]
    tick = axis.get_yticks()[labels.index(str(frequency_hz))]
    image = axis.images[0]
    loudest = pixels(image)[:, 50:200].mean(1).argmax()
    assert image.origin == "lower"
    assert tick == pytest.approx(loudest, abs=1.5)


def test_target_match_and_difference(match: Match):
    target, heard, change, _roll, *_bars = compare(match).axes
    shown = [axis.images[0] for axis in (target, heard, change)]
    np.testing.assert_array_equal(pixels(shown[0]), match.target_heard)
    np.testing.assert_array_equal(pixels(shown[1]), match.heard)
    np.testing.assert_allclose(pixels(shown[2]), match.heard - match.target_heard)
    assert shown[0].get_clim() == shown[1].get_clim()
    low, high = shown[2].get_clim()
    assert low == -high
    assert all(tuple(image.get_extent()[:2]) == (0, 2.0) for image in shown)


def test_the_piano_roll_shares_the_time_axis(match: Match):
    axes = compare(match).axes
    roll = axes[3]
    bars = [p for p in roll.patches if isinstance(p, Rectangle) and p.get_height() == 0.9]
    starts_s = [bar.get_x() for bar in bars]
    assert starts_s == [note.onset_s for note in match.notes]
    ends_s = [bar.get_x() + bar.get_width() for bar in bars]
    assert ends_s == pytest.approx([note.offset_s for note in match.notes])
    middles = [bar.get_y() + 0.45 for bar in bars]
    assert middles == pytest.approx([note.pitch_midi for note in match.notes])
    assert [text.get_text() for text in roll.texts] == [
        note_name(n.pitch_midi) for n in match.notes
    ]
    assert all(axis.get_xlim() == (0, 2.0) for axis in axes[:4])
    low, high = roll.get_ylim()
    assert all(low < note.pitch_midi < high for note in match.notes)


def test_silence_and_no_notes_can_be_drawn(match: Match):
    silence = np.zeros((128, 250), np.float32)
    empty = dataclasses.replace(match, target_heard=silence, heard=silence, score=Score([]))
    assert png(compare(empty)).startswith(b"\x89PNG")


def test_no_global_state_changes(match: Match):
    before = dict(matplotlib.rcParams)
    png(compare(match))
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []


def test_panels_are_rows_of_four_on_one_scale_each():
    rng = np.random.default_rng(0)
    a, b, c, d = rng.random((4, 128, 250))
    learned = torch.rand(128, 250, requires_grad=True)
    quiet, loud = (a, b, c, d), (2 * a, 3 * learned, 2 * c, 2 * d)
    figure = panels([quiet, loud], ["<Melody> 1", "Rhodes"])
    grid = np.array(figure.axes).reshape(2, 4)
    assert [axis.get_title()[:3] for axis in grid[0]] == ["(a)", "(b)", "(c)", "(d)"]
    for axes, row in zip(grid, (quiet, loud), strict=True):
        for axis, S in zip(axes, row, strict=True):
            np.testing.assert_array_equal(pixels(axis.images[0]), torch.as_tensor(S).detach())
        assert len({axis.images[0].get_clim() for axis in axes}) == 1
    assert grid[0, 0].images[0].get_clim() != grid[1, 0].images[0].get_clim()
    assert "<Melody> 1" in grid[0, 0].get_ylabel()
    assert png(figure).startswith(b"\x89PNG")


def test_panels_need_a_title_for_each_row():
    with pytest.raises(ValueError, match="zip"):
        panels([(np.ones((128, 250)),) * 4], [])  # pyright: ignore[reportArgumentType]


def test_the_readme_shows_every_colour():
    """A palette of 256 makes bands of the scale of differences, which few pixels need."""
    picture = plt.imread(Path(__file__).parent.parent / "docs" / "demo.png")
    height, width, _ = picture.shape
    scale = picture[round(0.53 * height) : round(0.73 * height), round(0.925 * width), :3]
    assert len(np.unique(scale.round(3), axis=0)) > 150
