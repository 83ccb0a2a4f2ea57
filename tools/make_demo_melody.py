"""Make the sound of the demo, `mirrornet/data/demo-melody.flac`, and its ground truth (`.json`).

A tune of five notes on an electric piano of a sound font that no plant of this package contains.
It needs FluidSynth and the FluidR3 sound font, both from Debian:

    apt-get install fluidsynth fluid-soundfont-gm
    python tools/make_demo_melody.py

Rendered dry (no reverb, no chorus). FluidSynth starts notes on a grid of 64 samples (1.5 ms).
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mido
import numpy as np
import soundfile
from jaxtyping import Float

from mirrornet.score import GAP_S, MELODY_S, Note
from mirrornet.storage import write_atomically

SAMPLE_RATE_HZ = 44100
SOUND_FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
ELECTRIC_PIANO_1 = 4  # General MIDI program, counted from 0: much like a Fender Rhodes
DATA = Path(__file__).resolve().parent.parent / "mirrornet" / "data"
PEAK = 10 ** (-3 / 20)  # 1 is full scale
FADE_OUT_S = 0.005  # as the last note still sounds at the end

PITCHES_MIDI = (62, 65, 69, 72, 69)  # D4 F4 A4 C5 A4
SPANS_S = (0.5, 0.35, 0.35, 0.35, 0.45)  # from each note's onset to the next one's
VELOCITIES = (100, 96, 99, 106, 98)


def midi_file(notes: Sequence[Note], velocities: Sequence[int], program: int) -> mido.MidiFile:
    """Make a MIDI file of successive notes for a General MIDI program (0..127); a tick is 1 ms."""
    file = mido.MidiFile(type=0, ticks_per_beat=500)  # a beat is 0.5 s unless a tempo is set
    track = file.add_track()
    track.append(mido.Message("program_change", program=program))
    now = 0
    for note, velocity in zip(notes, velocities, strict=True):
        for kind, time_s in (("note_on", note.onset_s), ("note_off", note.offset_s)):
            time = round(1000 * time_s)
            track.append(
                mido.Message(kind, note=note.pitch_midi, velocity=velocity, time=time - now)
            )
            now = time
    # FluidSynth stops at the end of the track.
    track.append(mido.MetaMessage("end_of_track", time=1000))
    return file


def play(midi: mido.MidiFile, sound_font: Path = SOUND_FONT) -> Float[np.ndarray, " sample"]:
    """Render the first 2 s of `midi` with FluidSynth, without effects, channels averaged."""
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder, "melody.mid"), Path(folder, "melody.wav")
        midi.save(score)
        command = f"fluidsynth -ni -q -r {SAMPLE_RATE_HZ} -g 0.5 -R 0 -C 0 -O float -T wav"
        command += " -o synth.dynamic-sample-loading=1"  # only this program, not the whole font
        subprocess.run(
            [*command.split(), "-F", sound, sound_font, score], check=True, capture_output=True
        )
        audio, _ = soundfile.read(sound, dtype="float64", always_2d=True)
    return audio[: round(MELODY_S * SAMPLE_RATE_HZ)].mean(1)


def main() -> None:
    ends_s = np.cumsum(SPANS_S).round(3).tolist()
    onsets_s = [0.0, *ends_s[:-1]]
    notes = [
        Note(pitch, onset, round(end - GAP_S, 3))
        for pitch, onset, end in zip(PITCHES_MIDI, onsets_s, ends_s, strict=True)
    ]
    audio = play(midi_file(notes, VELOCITIES, ELECTRIC_PIANO_1))
    faded = round(FADE_OUT_S * SAMPLE_RATE_HZ)
    audio[-faded:] *= np.linspace(1, 0, faded)
    audio *= PEAK / np.abs(audio).max()
    truth = {
        "instrument": "Electric Piano 1 (General MIDI program 4) of FluidR3_GM.sf2",
        "licence": "MIT; sound font Copyright (c) 2000-2002, 2008 Frank Wen, 2008 Toby Smithe",
        "made_by": "tools/make_demo_melody.py",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "duration_s": MELODY_S,
        "notes": [
            {
                "pitch_midi": note.pitch_midi,
                "onset_s": note.onset_s,
                "offset_s": note.offset_s,
                "velocity": velocity,
            }
            for note, velocity in zip(notes, VELOCITIES, strict=True)
        ],
    }
    write_atomically(
        DATA / "demo-melody.flac",
        lambda path: soundfile.write(path, audio, SAMPLE_RATE_HZ, subtype="PCM_16"),
    )
    write_atomically(
        DATA / "demo-melody.json", lambda path: path.write_text(json.dumps(truth, indent=2) + "\n")
    )


if __name__ == "__main__":
    main()
