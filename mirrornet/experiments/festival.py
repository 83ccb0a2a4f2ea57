"""Singing by Festival, a speech synthesizer that joins diphones, in its singing mode.

Debian's packages festival and festvox-kallpc16k. (A. Black, P. Taylor, R. Caley, "The Festival
Speech Synthesis System", 1.4, 1999.)
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..audio import load_audio
from ..score import Note, note_name
from .material import RATE_HZ, STREAM, Recording

# Syllables, and how many phones come before, in and after the vowel.
SYLLABLES = {"la": 2, "lo": 2, "my": 2, "so": 2, "far": 3, "do": 2, "ray": 2, "tea": 2, "moon": 3}
SYLLABLES |= {"day": 2, "sea": 2, "no": 2, "sun": 3}
LOWEST, HIGHEST = 45, 67  # MIDI
BPM = (80, 130)
SAVE_PHONES = "(set! after_synth_hooks (list (lambda (utt) (utt.save.segs utt {path}) utt)))"


def has_festival() -> bool:
    """Whether Festival is installed."""
    return shutil.which("text2wave") is not None


def festival_phrases(seed: int, phrases: int) -> Iterator[Recording]:
    """Generate phrases of one syllable a note, from A2 to G4.

    Notes start where the voice does, with the vowel or an l, m, n or r before it, and end with
    their syllables, where Festival says that these are. (It names octaves one higher than they
    sound.)
    """
    for number in range(phrases):
        yield _phrase(np.random.default_rng((seed, number, STREAM, 7)))


def _phrase(generator: np.random.Generator) -> Recording:
    bpm = generator.integers(*BPM)
    centre = generator.uniform(LOWEST + 5, HIGHEST - 5)
    pitch, pitches, words, parts = centre, [], [], []
    for _ in range(generator.integers(7, 11)):
        beats = generator.choice([0.5, 1, 1, 1, 2])
        pitch = centre + 0.75 * (pitch - centre) + 2.5 * generator.standard_normal()
        pitches.append(int(np.clip(round(pitch), LOWEST, HIGHEST)))
        words.append(str(generator.choice(list(SYLLABLES))))
        sung = f'<PITCH NOTE="{note_name(pitches[-1] + 12)}">{words[-1]}</PITCH>'
        parts.append(f'<DURATION BEATS="{beats}">{sung}</DURATION>')
    song = (
        '<?xml version="1.0"?><!DOCTYPE SINGING PUBLIC "-//SINGING//DTD SINGING mark up//EN" '
        f'"Singing.v0_1.dtd" []><SINGING BPM="{bpm}">{"".join(parts)}</SINGING>'
    )
    with tempfile.TemporaryDirectory() as folder:
        text, wav, phones = (Path(folder) / name for name in ("song.xml", "song.wav", "phones"))
        text.write_text(song)
        save = SAVE_PHONES.format(path=f'"{phones}"')
        command = ["text2wave", "-mode", "singing", "-eval", save, "-o", str(wav), str(text)]
        subprocess.run(command, check=True, capture_output=True)
        spans_s = _syllables(phones.read_text(), words)
        notes = [Note(p, *span_s) for p, span_s in zip(pitches, spans_s, strict=True)]
        return Recording(load_audio(wav, RATE_HZ), notes)


def _syllables(phones: str, words: list[str]) -> list[tuple[float, float]]:
    """The start of the voice and the end of each syllable in s, from lines of ends and phones."""
    lines = [line.split() for line in phones.splitlines() if line.count(" ") >= 2]
    ends_s = [float(end) for end, _, phone in lines if phone != "pau"]
    spans_s, at, before_s = [], 0, 0.0
    for word in words:
        start_s = before_s if word[0] in "lmnr" else ends_s[at]
        at += SYLLABLES[word]
        before_s = ends_s[at - 1]
        spans_s.append((start_s, before_s))
    return spans_s
