"""Presets of Vital: their text, by the rules of Vital's loader, and the files and guide of a match.

vita writes a placeholder, 99999.9.9, for Vital's version, and Vital refuses presets newer than
itself. The rules and their sources are in docs/vital-presets.md.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from string import Template
from typing import Any

import numpy as np

from ..controls import ControlSpace, Value
from ..errors import PlantError
from ..score import Note, Score, note_name
from .base import Artifact

# Not newer than any released Vital, and not converted, as presets below 0.9.0 are.
VERSION = "1.0.0"
AUTHOR = "MirrorNet"
LOWEST_CUTOFF_MIDI = 8.0  # lowest value of Vital's cutoff; its range is 128 semitones
UNREADABLE = (
    *(ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, TypeError),
    ValueError,
)
LEVELS = {"osc_1_on": "osc_1_level", "osc_2_on": "osc_2_level", "sample_on": "sample_level"}
GRID, FINE = 33, 1e-6  # places of a control that are tried at once, and how finely
PATCH_FILE = "match.vital"
PATCH_GUIDE = Template("""\
<li>Put the Vital synthesizer on the track. In its menu (☰, beside the preset’s name) choose
<i>Open External Preset</i> and pick <code>match.vital</code>: it then plays the MIDI file as
<code>match.wav</code> does. $macros there to turn.</li>
<li>The preset plays at the synthesizer’s own level; <code>match.wav</code> was brought to the
target’s.</li>""")
NOTES_GUIDE = """\
<li>Put the Vital synthesizer on the track. In its menu (☰, beside the preset’s name) choose
<i>Open External Preset</i> and pick a note of the melody from <code>presets/</code>. It sounds as
that note does in the match.</li>
<li>The controls change from note to note, so each note has its own preset. For the whole melody
drag in <code>presets/one-track-per-note.mid</code> instead: each of its tracks bears the name of
the preset it wants.</li>
<li>Or let <code>melody.mid</code> move the knobs of the first note’s preset, which comes near: it
sets a MIDI controller for each knob just before every note, in steps of 1/127 of the knob’s range.
Right-click a knob, choose <i>Learn MIDI Assignment</i> and send its controller, whose number stands
in <code>controls.json</code> under <code>midi_controllers</code>.</li>
<li>The presets play at the synthesizer’s own level; <code>match.wav</code> was brought to the
target’s.</li>"""


def artifacts(score: Score, preset: Callable[[Note], str]) -> list[Artifact]:
    """Preset files: one, in the median tuning, if all notes share a patch; else one per note."""
    notes = score.resolved
    if score.one_patch:
        tuned = {**notes[0].controls, "tune": score.common("tune")}
        shared = replace(notes[0], controls=tuned, glide=())
        what = "the patch that plays them: a preset to load into the synthesizer"
        return [Artifact(PATCH_FILE, lambda: preset(shared).encode(), what)]
    digits = len(str(len(notes)))
    return [
        Artifact(
            f"presets/note-{number + 1:0{digits}}-{note_name(note.pitch_midi)}.vital",
            lambda note=note: preset(note).encode(),
            "a preset for each note, to load into the synthesizer, and a MIDI file of them all",
            number,
        )
        for number, note in enumerate(notes)
    ]


def guide(score: Score, macros: str) -> str:
    """How to play a score with its `artifacts` in a DAW: items of an HTML list."""
    return PATCH_GUIDE.substitute(macros=macros) if score.one_patch else NOTES_GUIDE


def patch_of(
    text: bytes,
    space: ControlSpace,
    knobs: Callable[[Note], dict[str, float]],
    modulations: Sequence[tuple[str, str, float]],
) -> dict[str, Value]:
    """The controls of `space` with whose `knobs` a preset comes closest to its own settings.

    Raises PlantError if it is no preset of Vital.
    """
    try:
        settings = _slotted(json.loads(text)["settings"], modulations)
    except UNREADABLE as error:
        raise PlantError("this is no preset of Vital (.vital).") from error
    middle = space.from_vector(np.full(len(space.rows), 0.5))
    found: dict[str, Value] = {}
    for control in space.patch:
        places = np.linspace(0, 1, control.steps or GRID)
        while True:
            values = [control.to_physical(place).item() for place in places]
            tried = [knobs(Note(60, 0.0, 1.0, middle | {control.name: one})) for one in values]
            reach = {key: np.ptp([one[key] for one in tried]) for key in tried[0]}
            off = [
                sum(
                    ((one[key] - settings.get(key, one[key])) / span) ** 2
                    for key, span in reach.items()
                    if span
                )
                for one in tried
            ]
            best = int(np.argmin(off))
            low, high = places[max(best - 1, 0)], places[min(best + 1, len(places) - 1)]
            if control.steps or high - low < FINE:
                break
            places = np.linspace(low, high, GRID)
        found[control.name] = control.check(values[best])
    return found


def _slotted(
    settings: dict[str, Any], modulations: Sequence[tuple[str, str, float]]
) -> dict[str, float]:
    """Settings with the amounts of modulations in the slots that `modulations` have."""
    theirs = {
        (one["source"], one["destination"]): float(settings[f"modulation_{n}_amount"])
        for n, one in enumerate(settings["modulations"], 1)
        if one["source"] and one["destination"]
    }
    found = {key: float(value) for key, value in settings.items() if isinstance(value, int | float)}
    for number, (source, destination, _) in enumerate(modulations, 1):
        found[f"modulation_{number}_amount"] = theirs.get((source, destination), 0.0)
    for switch, level in LEVELS.items():
        found[level] *= found[switch]
    if not found["filter_1_on"]:  # as if it were open
        found |= {"filter_1_cutoff": LOWEST_CUTOFF_MIDI + 128, "filter_1_resonance": 0.0}
        found |= {"filter_1_model": 0.0, "filter_1_style": 0.0, "filter_1_blend": 0.0}
        theirs.pop(("macro_control_1", "filter_1_cutoff"), None)
    if ("macro_control_1", "filter_1_cutoff") not in theirs:  # the cutoff is where it is set
        found["macro_control_1"] = (found["filter_1_cutoff"] - LOWEST_CUTOFF_MIDI) / 128
    return found


def preset_text(preset: dict[str, Any], style: str, comments: str) -> str:
    """Complete a preset of vita's `to_json` with what Vital's loader and browser need.

    `style` is one of the browser's, such as "Keys". Keys are sorted and there is no white space, as
    the browser looks for author and style in the first bytes of the file.
    """
    settings = preset["settings"]
    wavetables = [table | {"version": VERSION} for table in settings["wavetables"]]
    complete = preset | {
        "synth_version": VERSION,
        "author": AUTHOR,
        "preset_style": style,
        "comments": comments,
        "settings": settings | {"wavetables": wavetables},
    }
    return json.dumps(complete, sort_keys=True, separators=(",", ":"), allow_nan=False)
