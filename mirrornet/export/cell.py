"""A match in the cell of a notebook: the sounds, the picture, the notes and the patch."""

import io
from html import escape

import numpy as np
import soundfile
from jaxtyping import Float

from . import plots
from .answer import Answer
from .files import level_matched
from .report import embedded, notes_table, patch_table, verdict

LONGEST_S = 120.0  # of sounds and pictures in a cell; longer ones make notebooks slow


def cell(match: Answer) -> str:
    """A match as HTML."""
    parts = [f"<p>{escape(verdict(match.distances['spectrogram_error']))}</p>"]
    parts += [f"<p>{escape(text)}</p>" for text in match.warnings]
    if len(match.target) <= LONGEST_S * match.sample_rate_hz:
        sounds = level_matched(match.target, match.audio)
        for name, sound in zip(("target", "match"), sounds, strict=True):
            flac = embedded("audio/flac", _flac(sound, match.sample_rate_hz))
            parts.append(f'<p>{name}<br><audio controls src="{flac}"></audio></p>')
        picture = plots.png(lambda: plots.compare(match), dpi=80)
        parts.append(
            f'<img alt="Spectrograms of target, match and difference; the notes" '
            f'src="{embedded("image/png", picture)}">'
        )
    else:
        parts.append("<p>The sounds are long; save the match to hear them.</p>")
    parts.append(notes_table(match))
    if match.one_patch:
        parts.append(patch_table(match))
    return f"<div>{''.join(parts)}</div>"


def _flac(sound: Float[np.ndarray, " sample"], sample_rate_hz: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, sample_rate_hz, format="FLAC")
    return file.getvalue()
