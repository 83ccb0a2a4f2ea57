"""Refinement with the plant: it listens, it improves, it never spends more than it may."""

from dataclasses import replace

import numpy as np
import pytest

from mirrornet.budget import Budget, budgeted
from mirrornet.cochlea import CHANNELS
from mirrornet.controls import Control, ControlSpace
from mirrornet.events import Event, Progress
from mirrornet.features import hear, hear_recording
from mirrornet.matching.melody_surrogate import MelodySurrogate, round_pitch
from mirrornet.matching.objective import (
    EXCERPT_S,
    MOST_NOTES,
    MelodyObjective,
    RecordingObjective,
    excerpt,
)
from mirrornet.matching.refine import Refinement, refine_melody, refine_recording
from mirrornet.models.mirrornet import MirrorNet, load_model
from mirrornet.plants import NotePlant, Plant, load_plant
from mirrornet.plants.vital import Vital
from mirrornet.score import Note, Score, as_score
from mirrornet.training.sampling import random_melodies
from tests.test_patch import SINE

RATE_HZ = 32000
WAVES = (10.0, 80.0, 40.0, 100.0)


@pytest.fixture(scope="module", params=["set1", "set2"])
def plant(request) -> Plant:
    return load_plant("vital", controls=request.param)


@pytest.fixture(scope="module")
def vital() -> Vital:
    return Vital("patch", RATE_HZ)


class Player:
    """Plays a melody, and remembers what it played."""

    def __init__(self, plant: Plant, target: np.ndarray, start: np.ndarray):
        self.plant, self.target, self.played = plant, target, []
        self.start = round_pitch(plant.controls, start)
        self.objective = MelodyObjective(plant.controls, target, self.start)

    def refine(self, budget: Budget, model: MirrorNet | None = None, seed: int = 0) -> np.ndarray:
        """The answer, found step by step."""
        ear = MelodySurrogate(model, self.objective) if model else None
        refinement = Refinement(self.objective, budget, ear, seed)
        while not refinement.done:
            controls = self.objective.controls_at(refinement.place)
            self.played.append(controls)
            rate_hz = self.plant.sample_rate_hz
            refinement.step(hear(self.plant.render(controls), rate_hz, "linear"))
        return self.objective.controls_at(refinement.best.place)

    def error(self, controls: np.ndarray) -> float:
        heard = hear(self.plant.render(controls), self.plant.sample_rate_hz)
        return float(np.mean((heard - self.target) ** 2))


def task(plant: Plant, off: float = 0.03) -> Player:
    """A target, and controls that are a little off."""
    true = random_melodies(plant.controls, "tuning", 1, seed=3)[0]
    change = np.random.default_rng(1).normal(0, off, true.shape)
    change[plant.controls.row("pitch")] = 0
    target = hear(plant.render(true), plant.sample_rate_hz)
    return Player(plant, target, np.clip(true + change, 0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("renders", [1, 2, 9, 30])
def test_it_spends_its_renders_and_answers_with_the_best_heard(plant, renders):
    player = task(plant)
    answer = player.refine(Budget(renders))
    assert len(player.played) == renders
    best = min(map(player.error, player.played))
    assert player.error(answer) == pytest.approx(best, rel=1e-6)


@pytest.mark.slow
def test_cancelled_while_exploring_it_answers_with_the_best_so_far(plant):
    player = task(plant, off=0.1)

    def listen(event: Event) -> None:
        if event.done >= 100:
            progress.cancel()

    progress = Progress(listen)
    with budgeted(progress, 1000, None) as budget:
        answer = player.refine(budget)
    assert 100 <= len(player.played) <= 102
    best = min(map(player.error, player.played))
    assert player.error(answer) == pytest.approx(best, rel=1e-6)


def test_measuring_on_the_plant_brings_it_much_closer_without_any_model(plant):
    player = task(plant)
    assert player.error(player.refine(Budget(30))) < 0.25 * player.error(player.start)


def test_a_phase_finds_its_way_across_the_turn():
    plant = load_plant("vital", controls="set2")
    true, phase = task(plant).start, plant.controls.row_of_role("vibrato_start")
    true[plant.controls.row_of_role("vibrato_depth")] = 0.5
    true[phase], start = 0.03, true.copy()
    start[phase] = 0.97
    player = Player(plant, hear(plant.render(true), plant.sample_rate_hz), start)
    answer = player.refine(Budget(14), load_model(controls="set2"))
    assert player.error(answer) < 0.005 * player.error(start)


def test_a_decoder_makes_the_first_steps_count():
    player = task(load_plant("vital"))
    assert player.error(player.refine(Budget(6), load_model())) < 0.3 * player.error(player.start)


def test_chance_alone_improves_and_is_the_same_for_the_same_seed(plant):
    player = task(plant)
    few = 6  # too few to measure
    answers = [player.refine(Budget(few), seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])
    assert player.error(answers[0]) < player.error(player.start)


def test_every_try_is_one_the_plant_may_play(plant):
    player = task(plant, off=0.6)  # at the bounds
    player.refine(Budget(25))
    for controls in player.played:
        plant.controls.check(controls)


def test_one_note_is_a_melody_too(plant):
    true = random_melodies(plant.controls, "tuning", 1, seed=4, notes=1)[0]
    start = np.clip(true + 0.02, 0, 1)
    start[0] = true[0]
    player = Player(plant, hear(plant.render(true), plant.sample_rate_hz), start)
    assert player.error(player.refine(Budget(20))) < player.error(start)


def test_the_command_that_plays_it_does_as_much():
    plant = load_plant("vital")
    player = task(plant)
    answer = refine_melody(plant, player.objective, Budget(9), None, 0)
    np.testing.assert_array_equal(answer, player.refine(Budget(9)))


def melody(waves: tuple[float, ...] = (50.0,) * 4, **knobs: float) -> list[Note]:
    pitches = (60, 64, 67, 62)
    return [
        Note(pitch, 0.4 * n, 0.4 * n + 0.3, SINE | {"wave": wave} | knobs)
        for n, (pitch, wave) in enumerate(zip(pitches, waves, strict=True))
    ]


@pytest.mark.slow
def test_renders_bring_the_patch_closer(vital: Vital):
    target = vital.play(melody((75.0,) * 4, cutoff=1500.0, decay=0.3))
    start = as_score(vital.controls, melody((55.0,) * 4, cutoff=3000.0, sustain=70.0))
    found = refine_recording(vital, start, target, Budget(60))
    heard = hear_recording(target, RATE_HZ)[:, :180]
    errors = [
        np.mean((hear_recording(vital.play(s.resolved, 1.6), RATE_HZ)[:, :180] - heard) ** 2)
        for s in (start, found)
    ]
    assert errors[1] < 0.3 * errors[0]
    assert found.one_patch
    assert list(found.notes) == list(start.notes)


def test_overtones_above_4_khz_are_matched(vital: Vital):
    """Of C7, only the fundamental lies below: a triangle and a square differ in nothing else."""

    def tone(wave: float) -> Score:
        knobs = SINE | {"wave": wave, "cutoff": 12000.0}
        notes = [Note(96, 0.3 * n, 0.3 * n + 0.2, knobs) for n in range(3)]
        return as_score(vital.controls, notes, 1.0)

    target = vital.render(tone(50.0))
    heard = hear_recording(target, RATE_HZ)[CHANNELS + 6 :]
    found = refine_recording(vital, tone(20.0), target, Budget(40))
    errors = [
        np.mean((hear_recording(vital.render(score), RATE_HZ)[CHANNELS + 6 :] - heard) ** 2)
        for score in (tone(20.0), replace(found, duration_s=1.0))
    ]
    assert errors[1] < 0.3 * errors[0]


def test_each_note_comes_closer_by_itself(vital: Vital):
    target = vital.play(melody(WAVES), 1.6)
    heard = hear_recording(target, RATE_HZ)
    start = Score(melody(), {}, 1.6)
    found = refine_recording(vital, start, target, Budget(40))
    errors = [
        np.mean((hear_recording(vital.render(score), RATE_HZ) - heard) ** 2)
        for score in (start, found)
    ]
    assert errors[1] < 0.5 * errors[0]
    assert len({note.controls["wave"] for note in found.notes}) == len(WAVES)
    assert [(n.pitch_midi, n.onset_s) for n in found.notes] == [
        (n.pitch_midi, n.onset_s) for n in start.notes
    ]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("renders", [1, 7, 20, 45])
def test_no_more_renders_are_spent_than_allowed(vital: Vital, shared: bool, renders: int):
    target = vital.play(melody(WAVES), 1.6)
    score = as_score(vital.controls, melody()) if shared else Score(melody())
    events = []
    with budgeted(Progress(events.append), renders, None) as budget:
        refine_recording(vital, score, target, budget)
    assert renders - 1 <= budget.spent <= renders
    best = [event.best for event in events if event.best]
    assert [one.error for one in best] == sorted((one.error for one in best), reverse=True)
    assert best[-1].sample_rate_hz * 1.5 < len(best[-1].audio)  # a sound to listen to


@pytest.mark.parametrize("samples", [4590, 30000, 30001])
def test_any_length_can_be_refined(samples: int):
    vital = Vital("patch", 44100)
    notes = melody(WAVES)[:1]
    sound = vital.play(notes, 1.0)[:samples]
    refine_recording(vital, Score(notes), sound, Budget(2))


class Switched(NotePlant):
    """Two oscillators an octave apart behind a switch, and a register to choose."""

    name = "switched"
    controls = ControlSpace(
        (
            Control("high", kind="switch", scope="patch"),
            Control("register", kind="choice", choices=("one", "two", "three"), scope="patch"),
        ),
        "switched",
    )

    def __init__(self, sample_rate_hz: int = RATE_HZ):
        self.sample_rate_hz = sample_rate_hz

    def note_sound(self, note: Note) -> np.ndarray:
        times_s = np.arange(round((note.offset_s - note.onset_s + self.tail_s) * RATE_HZ)) / RATE_HZ
        number = ("one", "two", "three").index(note.controls["register"]) + 1
        hz = 220 * number * (4 if note.controls["high"] else 1)
        return (0.3 * np.sin(2 * np.pi * hz * times_s)).astype(np.float32)


def test_choices_and_switches_are_tried():
    plant = Switched()
    notes = [Note(60, 0.3 * n, 0.3 * n + 0.2) for n in range(3)]
    true, start = {"high": True, "register": "three"}, {"high": False, "register": "one"}
    target = plant.render(Score(notes, true, 1.0))
    found = refine_recording(plant, Score(notes, start, 1.0), target, Budget(12))
    assert found.patch == true


def test_slopes_through_the_compression_are_the_true_ones(vital: Vital):
    """What divides by the loudness of the whole moves with each point."""
    target = vital.play(melody(), 1.6)
    objective = RecordingObjective(vital, as_score(vital.controls, melody()), target)
    linear = objective.play(objective.start)[0].astype(float)
    change = np.random.default_rng(0).random(linear.shape) * linear.mean()
    slope = float((objective.gain_slopes(linear) * change).sum())
    measured = objective.gain(linear + 1e-4 * change) - objective.gain(linear - 1e-4 * change)
    assert measured / 2e-4 == pytest.approx(slope, rel=1e-4)


def test_the_true_patch_scores_nothing_in_a_soft_and_legato_excerpt(vital: Vital):
    """Whatever was louder elsewhere, and whatever follows."""
    loud = [Note(60, 1.0 * n, 1.0 * n + 0.9, SINE) for n in range(3)]
    soft = [Note(62 + n, 4 + 0.15 * n, 4.15 + 0.15 * n, SINE | {"level": -20.0}) for n in range(16)]
    notes = loud + soft
    target = vital.play(notes, 7.0)
    start_s, end_s, some = excerpt(notes, 7.0)
    part = target[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    heard = hear_recording(part, RATE_HZ)
    again = hear_recording(vital.play(some, end_s - start_s), RATE_HZ)
    assert np.mean((again - heard) ** 2) / np.var(heard) < 0.01


def test_an_excerpt_holds_as_many_notes_as_possible():
    slow = [Note(60, 2.0 * n, 2.0 * n + 1.5, SINE) for n in range(5)]
    quick = [Note(72, 20 + 0.2 * n, 20.1 + 0.2 * n, SINE) for n in range(40)]
    start_s, end_s, notes = excerpt(slow + quick, 30.0)
    assert len(notes) == MOST_NOTES
    assert start_s == 20.0
    assert end_s == pytest.approx(20 + 0.2 * MOST_NOTES)
    assert all(note.pitch_midi == 72 for note in notes)
    assert all(0 <= note.onset_s < EXCERPT_S for note in notes)
    drone = [Note(48, 3.0, 60.0, SINE)]
    start_s, end_s, notes = excerpt(drone, 60.0)
    assert (start_s, end_s) == (3.0, 3.0 + EXCERPT_S)
    assert (notes[0].onset_s, notes[0].offset_s) == (0.0, EXCERPT_S)
