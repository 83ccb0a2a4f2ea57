"""The benchmark of recordings: what it plays, and how it scores."""

import json
from itertools import pairwise

import numpy as np
import pytest
import soundfile

pytest.importorskip("mir_eval")
pytest.importorskip("librosa")

from mirrornet.experiments import material, recordings
from mirrornet.experiments.baselines.cut_wavetable import cut_wavetable
from mirrornet.experiments.material import (
    INSTRUMENTS,
    RATE_HZ,
    REAL,
    SOUND_S,
    TUNED_ON,
    Recording,
    Source,
    instrument_phrases,
    plain_phrases,
    plant_phrases,
    sources,
    sung,
    voice_phrases,
    whistled,
)
from mirrornet.experiments.reading import (
    ReadNote,
    as_read,
    note_scores,
    pitch_class_share,
    read_with_pyin,
)
from mirrornet.experiments.recordings import run_recordings
from mirrornet.experiments.tables.recordings import (
    pitch_class_table,
    recorded_sounds_table,
    recordings_table,
)
from mirrornet.models.mirrornet import load_model
from mirrornet.plants import load_plant
from mirrornet.score import Note, Score

PLAYED = [Note(60, 0.0, 0.4), Note(64, 0.5, 0.9), Note(67, 1.0, 1.8), Note(67, 2.0, 2.4)]


def test_scores_are_those_of_mir_eval():
    assert set(note_scores(PLAYED, as_read(PLAYED)).values()) == {1.0}
    assert set(note_scores(PLAYED, []).values()) == {0.0}
    other = [
        ReadNote(60.4, 0.04, 0.4),  # right
        ReadNote(64.6, 0.5, 0.9),  # another pitch
        ReadNote(67, 1.0, 1.2),  # ends too soon
        ReadNote(67, 2.06, 2.4),  # 60 ms late
    ]
    scores = note_scores(PLAYED, other)
    assert scores["onset_f1"] == pytest.approx(3 / 4)
    assert scores["note_f1"] == pytest.approx(2 / 4)
    assert scores["note_offset_f1"] == pytest.approx(1 / 4)


def test_a_note_is_as_high_as_it_is_tuned_and_over_when_the_next_starts():
    ringing = [Note(60, 0.0, 2.0, {"tune": 45.0}), Note(62, 0.5, 2.0, {"tune": 45.0})]
    heard = [ReadNote(60.6, 0.0, 0.5), ReadNote(62.5, 0.5, 2.0)]
    assert set(note_scores(ringing, heard).values()) == {1.0}


def test_no_instrument_is_scored_that_was_tuned_on():
    assert not set(INSTRUMENTS) & set(TUNED_ON)


def test_the_same_seed_gives_the_same_phrases():
    pytest.importorskip("tinysoundfont")
    flute = next(instrument_phrases(73, 0))
    other = next(instrument_phrases(73, 1))
    assert flute.notes == next(instrument_phrases(73, 0)).notes
    assert flute.notes != other.notes
    assert len(flute.sound) == len(other.sound) == round(SOUND_S * RATE_HZ)
    assert all(a.offset_s <= b.onset_s + 1e-9 for a, b in pairwise(flute.notes))
    for phrases in (plant_phrases, plain_phrases):
        assert np.abs(next(phrases(0)).sound).max() > 1e-3
        assert next(phrases(0)).notes != next(phrases(1)).notes


@pytest.mark.slow
@pytest.mark.parametrize("voice", [sung, whistled])
def test_a_voice_sings_its_notes(voice):
    recording = next(voice_phrases(0, voice))
    read = read_with_pyin(recording.sound)
    assert note_scores(recording.notes, read)["onset_f1"] > 0.3
    long = max(recording.notes, key=lambda note: note.offset_s - note.onset_s)
    middle = int(0.5 * (long.onset_s + long.offset_s) * RATE_HZ)
    excerpt = recording.sound[middle - 4096 : middle + 4096] * np.hanning(8192)
    spectrum = np.abs(np.fft.rfft(excerpt, 1 << 16))
    hz = 440 * 2 ** ((long.pitch_midi - 69) / 12)
    near = round(hz * (1 << 16) / RATE_HZ)
    around = spectrum[near - 60 : near + 60]
    assert abs(around.argmax() - 60) < 25
    assert around.max() > 5 * np.median(spectrum)


def test_the_share_of_a_pitch_class():
    read = [ReadNote(36.2, 0.0, 1.0), ReadNote(47.8, 1.0, 3.0), ReadNote(43, 3.0, 4.0)]
    assert pitch_class_share(read, 0) == pytest.approx(3 / 4)
    assert pitch_class_share([], 0) == 0


def test_real_recordings_are_there_if_they_are_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(material, "SAMPLES", tmp_path)
    assert "real" not in {source.kind for source in sources(0)}
    name, pitch_class = next((n, p) for n, p in REAL.items() if p is not None)
    tone = 0.3 * np.sin(np.arange(RATE_HZ) / 40)
    soundfile.write(tmp_path / f"{name}.flac", tone, RATE_HZ)
    real = sources(0)[-1]
    assert (real.kind, real.count) == ("real", 1)
    assert [recording.pitch_class for recording in real.recordings()] == [pitch_class]


@pytest.mark.slow
def test_recordings_are_read_and_matched_by_all(tmp_path, monkeypatch, capsys):
    recording = Recording(next(voice_phrases(0, sung)).sound[: 2 * RATE_HZ], PLAYED)
    known = Recording(recording.sound, pitch_class=9)
    silence = Recording(np.zeros(RATE_HZ, np.float32))
    few = [
        Source("the synthesizer itself", "plant", lambda: iter([recording]), 1),
        Source("flute", "instrument", lambda: iter([recording]), 1),
        Source("real", "real", lambda: iter([known, silence]), 2),
    ]
    monkeypatch.setattr(recordings, "sources", lambda _: few)
    monkeypatch.setattr(recordings, "TIME_S", 0.5)
    monkeypatch.setattr(recordings, "BABBLE", 4)
    model = load_model(controls="patch")
    path = run_recordings(model, 0, tmp_path / "results", tmp_path / "runs")
    result = json.loads(path.read_text())
    flute, real = result["rows"][1:]
    methods = {"ours, at once", "ours", "ours, knobs", "nearest in the babble", "CMA-ES"}
    methods.add("a wavetable that is cut")
    assert set(flute["notes"]) == {"ours", "pYIN and onsets"}
    assert set(real["notes"]["ours"]) == {"pitch_class"}
    assert set(flute["sound"]) == set(real["sound"]) == methods
    assert (real["matched"], real["unheard"]) == (1, 1)
    assert flute["sound"]["ours, at once"]["renders"] == 3
    assert all(scores["renders"] > 0 for scores in flute["sound"].values())
    assert set(result["ours_minus"]["mss_db"]) == methods
    assert flute["sounds"] == [flute["sound"]]
    page = (path.with_suffix("") / "index.html").read_text()
    assert page.count("<audio") == 3 * (len(recordings.SAVED) + 1)
    assert len(list(path.with_suffix("").rglob("*.ogg"))) == page.count("<audio")
    assert len(recordings_table(result)) == 1 + 2 + 1
    assert pitch_class_table(result)[1][0] == "real"
    assert len(recorded_sounds_table(result)) == 1 + len(methods) * (3 + 1)
    monkeypatch.setattr(recordings, "row_of", None)
    again = run_recordings(model, 0, tmp_path / "results", tmp_path / "runs", resume=True)
    assert json.loads(again.read_text())["rows"] == result["rows"]


def test_differences_are_paired_and_have_intervals():
    """Ours is better by 2 in each sound, though sounds differ by more; the other is the same."""
    sounds = [
        {name: {"sot": base + more} for name, more in (("ours", 0.0), ("a", 2.0), ("b", 0.0))}
        for base in (1.0, 9.0, 30.0)
    ]
    rows = [{"kind": "instrument", "sounds": sounds}, {"kind": "instrument", "sounds": sounds[:1]}]
    rows.append({"kind": "real", "sounds": [{"ours": {"sot": 99.0}}]})
    found = recordings.differences(rows, 0)["sot"]
    assert found == {"ours": [0, 0, 0], "a": [-2, -2, -2], "b": [0, 0, 0]}
    sounds[0]["a"]["sot"] -= 2
    mean, low, high = recordings.differences(rows, 0)["sot"]["a"]
    assert mean == -1
    assert low < -1 < high
    assert recordings.differences(rows[-1:], 0) == {}


def test_a_cut_wavetable_has_the_spectrum_of_the_longest_note():
    times_s = np.arange(RATE_HZ) / RATE_HZ
    tone = [np.sin(2 * np.pi * 220 * h * times_s) * level for h, level in ((1, 0.1), (3, 0.01))]
    plant = load_plant("vital", controls="wavetable", sample_rate_hz=RATE_HZ)
    own = {"level": 0.0, "tune": 0.0}
    score = Score([Note(57, 0.1, 0.9, own), Note(60, 0.9, 1.0, own)], {}, 1.0)
    cut = cut_wavetable(plant, score, np.sum(tone, 0).astype(np.float32))
    harmonics = np.asarray(cut.patch["harmonics"])
    assert harmonics[..., 0].max() == harmonics[..., 0].min() == pytest.approx(0, abs=0.01)
    np.testing.assert_allclose(harmonics[..., 2], -20, atol=0.5)
    assert harmonics[..., 1].max() < -50
    assert np.abs(plant.render(cut)).max() > 0.01


def test_pyin_reads_a_plain_tune():
    late = [Note(n.pitch_midi, n.onset_s + 0.3, n.offset_s + 0.3) for n in PLAYED]
    times_s = np.arange(3 * RATE_HZ) / RATE_HZ
    sound = np.zeros_like(times_s)
    for note in late:
        own = (times_s >= note.onset_s) & (times_s < note.offset_s)
        hz, since_s = 440 * 2 ** ((note.pitch_midi - 69) / 12), times_s[own] - note.onset_s
        tone = sum(np.sin(2 * np.pi * k * hz * since_s) / k for k in range(1, 6))
        sound[own] = 0.3 * tone * np.exp(-4 * since_s) * (1 - (since_s / since_s[-1]) ** 8)
    read = read_with_pyin(sound.astype(np.float32))
    assert note_scores(late, read)["note_f1"] >= 0.85
