"""The Yamaha DX7, played by Dexed's engine through `dexed`: FM synthesis with six operators.

It is pure as it is: every note starts from the voice's data, bit for bit the same whatever was
played before. A note that still rings `LONGEST_RELEASE_S` after its end is faded out.

The control set `all` has all 145 parameters of a voice; a note's own control is its velocity,
which may change its colour, too. `pair` is for the paper's melodies: one carrier, and one modulator
with feedback.
"""

from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ..controls import Control, ControlSpace, Value
from ..errors import PlantError
from ..score import DURATION, PITCH, Note, Score
from .base import Artifact, NotePlant
from .dx7_prior import random_voice
from .dx7_voice import (
    ALGORITHMS,
    BANK_VOICES,
    INITIAL,
    VOICE,
    bank_message,
    voice_bytes,
    voice_message,
    voice_of,
)

STEP_DB = 0.75  # of an operator's output level
PAIR = ControlSpace(
    (
        PITCH,
        DURATION,
        Control("level", "dB", -18.0, 0.0, meaning="in steps of 0.75 dB", role="level"),
        Control("brightness", "", 40, 95, meaning="output of the modulator", kind="integer"),
        Control("feedback", "", 0, 7, meaning="of the modulator", kind="integer"),
        Control("attack", "", 50, 99, meaning="rate; 99 is fastest", kind="integer"),
        Control("decay", "", 35, 75, meaning="rate; 99 is fastest", kind="integer"),
    ),
    "pair",
)
VELOCITY = Control("velocity", "MIDI", 1, 127, kind="integer", role="velocity")
ALL = ControlSpace((VELOCITY, *VOICE), "all")
CONTROL_SETS = {space.name: space for space in (ALL, PAIR)}
CARRIER, MODULATOR = 5, 6  # of algorithm 5, whose operator 6 has the feedback
FULL_VELOCITY = 100
RELEASE_RATE = 75  # of the pair

LONGEST_RELEASE_S = 2.0
FADE_S = 0.02
VOICE_FILE, BANK_FILE = "match.syx", "match-bank.syx"
INSTALL = "pip install dexed-py"
GUIDE = """\
<li>Send <code>match.syx</code> to a DX7, or open <code>match-bank.syx</code> as a cartridge in
Dexed (free): the first voice plays the MIDI file as <code>match.wav</code> does.</li>
<li>The voice plays at the synthesizer’s own level; <code>match.wav</code> was brought to the
target’s.</li>"""
NOTES_GUIDE = """\
<li>Each note has a voice of its own. Open the cartridges <code>voices-….syx</code> in Dexed
(free), or send them to a DX7: their voices are in the order of the notes.</li>"""


class DX7(NotePlant):
    """The DX7 with `all` parameters of a voice, or, for the paper's melodies, with a `pair` of
    operators.

    Raises PlantError for other options, and if `dexed` is not installed.
    """

    name = "dx7"
    control_sets = CONTROL_SETS

    def __init__(self, controls: Literal["all", "pair"] = "all", sample_rate_hz: int = 44100):
        self.choose(controls, sample_rate_hz)
        try:
            self._dexed = import_module("dexed")
        except ImportError as error:
            raise PlantError(f"the plant dx7 needs dexed ({error}): {INSTALL}") from error
        self._synth = self._dexed.DexedSynth(sample_rate_hz)
        # Operators are numbered from 0 there.
        self._carriers = [
            [op + 1 for op in self._dexed.get_carriers(algorithm)]
            for algorithm in range(len(ALGORITHMS))
        ]

    @classmethod
    def options_of(cls, suffix: str) -> dict[str, Any] | None:
        return {"controls": suffix} if suffix in CONTROL_SETS else None

    @classmethod
    def to_install(cls) -> str:
        return "" if find_spec("dexed") else INSTALL

    def voice(self, note: Note) -> dict[str, Value]:
        """All parameters of the voice that plays a note, which has all its controls."""
        value = note.controls
        if self.controls is ALL:
            return {control.name: value[control.name] for control in VOICE}
        envelope = {"rate1": value["attack"], "rate2": value["decay"], "rate4": RELEASE_RATE}
        envelope |= {"level2": 0, "level3": 0}
        voice = INITIAL | {"algorithm": "5", "feedback": value["feedback"]}
        for op in (CARRIER, MODULATOR):
            voice |= {f"op{op}_{name}": one for name, one in envelope.items()}
        voice[f"op{MODULATOR}_rate1"] = 99
        voice[f"op{CARRIER}_output"] = 99 + round(float(value["level"]) / STEP_DB)
        voice[f"op{MODULATOR}_output"] = value["brightness"]
        return voice

    def note_tail_s(self, note: Note) -> float:
        voice = self.voice(note)
        releases = [
            np.inf if voice[f"op{op}_level4"] else release_s(int(voice[f"op{op}_rate4"]))
            for op in self._carriers[ALGORITHMS.index(str(voice["algorithm"]))]
            if voice[f"op{op}_output"]
        ]
        return float(np.clip(max(releases, default=0.0), FADE_S, LONGEST_RELEASE_S))

    def note_sound(self, note: Note) -> Float[np.ndarray, " sample"]:
        self._synth.load_patch(self._dexed.Patch.from_sysex(voice_bytes(self.voice(note))))
        gate_s, tail_s = note.offset_s - note.onset_s, self.note_tail_s(note)
        velocity = int(note.controls.get("velocity", FULL_VELOCITY))
        sound = self._synth.render(int(note.pitch_midi), velocity, gate_s, gate_s + tail_s)
        fade = np.linspace(1, 0, round(FADE_S * self.sample_rate_hz), dtype=np.float32)
        sound[len(sound) - len(fade) :] *= fade
        return sound

    def sample(self, generator: np.random.Generator) -> Score:
        score = super().sample(generator)
        if self.controls is not ALL:
            return score
        return replace(score, patch=random_voice(generator, self._carriers))

    def read_preset(self, data: bytes) -> dict[str, Value]:
        if self.controls is not ALL:
            return super().read_preset(data)
        return voice_of(data)

    def artifacts(self, score: Score) -> list[Artifact]:
        voices = [voice_bytes(self.voice(note)) for note in score.resolved]
        if score.one_patch and self.controls is ALL:
            return [
                Artifact(VOICE_FILE, lambda: voice_message(voices[0]), "the voice, for a DX7"),
                Artifact(BANK_FILE, lambda: bank_message(voices[:1]), "a cartridge with the voice"),
            ]
        banks = [voices[at : at + BANK_VOICES] for at in range(0, len(voices), BANK_VOICES)]
        return [
            Artifact(
                f"voices-{number:02d}.syx",
                lambda bank=bank: bank_message(bank),
                "a cartridge with a voice for each note",
            )
            for number, bank in enumerate(banks, 1)
        ]

    def guide(self, score: Score) -> str:
        return GUIDE if score.one_patch and self.controls is ALL else NOTES_GUIDE


def release_s(rate: int) -> float:
    """How long an operator takes from full level to -60 dB, measured: rates of 30 to 99 within
    15 %."""
    return 0.01 + 1.07 * 1.12 ** (50 - rate)
