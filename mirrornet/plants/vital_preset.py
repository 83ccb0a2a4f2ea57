"""Presets of Vital: their text, by the rules of Vital's loader, and the files and guide of a match.

vita writes a placeholder, 99999.9.9, for Vital's version, and Vital refuses presets newer than
itself. The rules and their sources are in docs/vital-presets.md.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..score import Note, Score, note_name
from .base import Artifact

# Not newer than any released Vital, and not converted, as presets below 0.9.0 are.
VERSION = "1.0.0"
AUTHOR = "MirrorNet"
PATCH_FILE = "match.vital"
PATCH_GUIDE = """\
<li>Put the Vital synthesizer on the track. In its menu (☰, beside the preset’s name) choose
<i>Open External Preset</i> and pick <code>match.vital</code>: it then plays the MIDI file as
<code>match.wav</code> does. Its macros CUTOFF and TUNE are there to turn.</li>
<li>The preset plays at the synthesizer’s own level; <code>match.wav</code> was brought to the
target’s.</li>"""
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
        shared = replace(notes[0], controls=tuned)
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


def guide(score: Score) -> str:
    """How to play a score with its `artifacts` in a DAW: items of an HTML list."""
    return PATCH_GUIDE if score.one_patch else NOTES_GUIDE


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
