"""The decoder for recordings: what it knows of sound without learning, and what it has learned."""

import numpy as np
import pytest
import torch

from mirrornet.features import FRAME_S, hear_wide
from mirrornet.models.mirrornet import load_model
from mirrornet.models.phrasewise import SILENCE, PhraseDecoder, moved
from mirrornet.plants.vital import Vital
from mirrornet.plants.vital_patch import PATCH
from mirrornet.plants.vital_prior import random_phrase
from mirrornet.score import from_arrays, to_arrays
from mirrornet.training.babble import compressed

KNOBS = len(PATCH.patch)
TIMES_S = FRAME_S * torch.arange(1.0, 251)[None]


@pytest.fixture
def decoder() -> PhraseDecoder:
    torch.manual_seed(0)
    return PhraseDecoder(PATCH).eval()


def notes(*rows: tuple[float, float, float, float, float]) -> torch.Tensor:
    return torch.tensor([[*rows, *[[torch.nan] * 5] * 2]])


def test_a_tone_moves_along_the_channels_with_its_pitch():
    tone = torch.zeros(192)
    tone[12] = 5.0  # the fundamental
    at = moved(tone.expand(3, -1), torch.tensor([31.0, 33.5, -40.0]))
    assert at[0].argmax() == 31
    assert at[0, 31] == 5
    assert (at[1, 33], at[1, 34]) == (2.5, 2.5)  # halfway between two channels
    assert at[0, :19].eq(SILENCE).all()  # beyond its reach
    assert at[2].eq(torch.where(torch.arange(176) < 192 - 12 - 40 - 1, 0.0, SILENCE)).all()


def test_a_tune_of_a_semitone_is_a_semitone(decoder):
    with torch.no_grad():
        decoder.noise.bias.fill_(-20.0)
        knobs = torch.full((1, KNOBS), 0.5)
        knobs[0, PATCH.patch.row("vibrato_depth")] = 0
        low, high = (
            decoder(notes((60, 0.0, 1.0, 1.0, tune)), knobs, TIMES_S)[0] for tune in (0.0, 1.0)
        )
    # A hundred cents are two channels of twenty-four to the octave.
    torch.testing.assert_close(low[20:90], high[22:92], atol=0.02, rtol=0)
    assert not torch.allclose(low[20:90], high[20:90], atol=0.02)


def test_levels_only_count_beside_each_other(decoder):
    knobs = torch.full((1, KNOBS), 0.5)

    def heard(first: float, second: float) -> torch.Tensor:
        with torch.no_grad():
            rows = (60, 0.0, 0.9, first, 0.5), (67, 1.0, 1.9, second, 0.5)
            return decoder(notes(*rows), knobs, TIMES_S)[0]

    torch.testing.assert_close(heard(0.9, 0.9), heard(0.4, 0.4), atol=1e-3, rtol=0)
    soft = heard(1.0, 0.4)
    assert soft[:, :120].mean() > heard(1.0, 1.0)[:, :120].mean()
    assert soft[:, 130:].mean() < heard(1.0, 1.0)[:, 130:].mean()


def test_rows_beyond_the_last_note_say_nothing(decoder):
    knobs = torch.rand(1, KNOBS)
    row = (60, 0.1, 0.9, 1.0, 0.5)
    with torch.no_grad():
        some = decoder(notes(row), knobs, TIMES_S)
        alone = decoder(notes(row)[:, :1], knobs, TIMES_S)
    torch.testing.assert_close(some, alone)
    assert some.isfinite().all()
    assert some[0, :, :11].max() < 0.1 * some.max()  # nothing before the first onset


def test_the_weights_that_ship_foresee_what_the_plant_plays():
    model, vital = load_model(controls="patch"), Vital("patch", 32000)
    off, spread = 0.0, 0.0
    for number in range(8):
        phrase = random_phrase(PATCH, np.random.default_rng((0, number, 99)))
        S = torch.from_numpy(hear_wide(vital.render(phrase), 32000))
        heard = compressed(S / S.mean())[None]
        own, knobs = (torch.from_numpy(part)[None] for part in to_arrays(PATCH, phrase))
        times_s = FRAME_S * torch.arange(1.0, S.shape[-1] + 1)[None]
        with torch.no_grad():
            expected = model.decoder(own, knobs, times_s)
        off += float((expected - heard).square().sum())
        spread += float((heard - heard.mean()).square().sum())
    assert off < 0.1 * spread


def test_a_phrase_is_the_same_after_a_trip_through_numbers():
    phrase = random_phrase(PATCH, np.random.default_rng(5))
    again = from_arrays(PATCH, *to_arrays(PATCH, phrase, most_notes=40))
    assert again.one_patch
    notes = list(zip(phrase.resolved, again.resolved, strict=True))
    assert len(notes) > 1
    for one, other in notes:
        assert one.pitch_midi == other.pitch_midi
        assert one.onset_s == pytest.approx(other.onset_s, abs=1e-5)
        assert set(one.controls) == set(other.controls) == set(PATCH.names)
        for control in PATCH:
            a, b = (control.from_physical(note.controls[control.name]) for note in (one, other))
            assert np.clip(a, 0, 1) == pytest.approx(float(b), abs=1e-5), control.name
