"""The report on a match: one HTML page that needs no network, and no other files except for long
sounds and other candidates.

Closeness in words is derived from `spectrogram_error`. The thresholds are this package's choice,
not the result of a listening test.
"""

import base64
import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np

from ..controls import Control, way
from ..plants.base import Artifact
from ..score import note_name
from ..tempo import Tempo
from .answer import Answer
from .midi import CONTROLLERS, MPE_FILE, without_controllers
from .score_json import score_json
from .views import data_of, import_map

# Largest `spectrogram_error` (share of the target's variance) of each grade of closeness.
CLOSENESS = (
    (0.01, "nearly identical"),
    (0.05, "very close"),
    (0.15, "close"),
    (0.40, "similar"),
    (1.00, "far off"),
    (math.inf, "no match"),
)


LARGEST_EMBEDDED = 20_000_000  # bytes of a sound that is embedded in the page
MOST_DIFFERENT = 4  # knobs that are named as differences of two patches
VIEWS = Template("""\
<h2>Hear and see</h2>
<p class="transport"><button type="button" id="play">Play</button>
<span class="switch"><button type="button" id="hear-a" aria-pressed="true">Target</button
><button type="button" id="hear-b" aria-pressed="false">Match</button></span>
<button type="button" id="whole" disabled>Loop the whole</button></p>
<figure class="view"><figcaption>Target, and the notes of the match</figcaption>
<div class="stack"><canvas id="view-target"></canvas><canvas id="view-notes" role="img"
aria-label="Auditory spectrogram of the target, and the notes of the match"></canvas></div></figure>
<figure class="view"><figcaption>Match</figcaption><canvas id="view-heard" role="img"
aria-label="Auditory spectrogram of the match"></canvas></figure>
<figure class="view"><figcaption>Match − target: red is louder, blue is quieter</figcaption>
<canvas id="view-difference" role="img" aria-label="Difference of the two"></canvas></figure>
<p class="quiet">What the ear gets from both sounds, over time and frequency. The paler the
difference, the closer the match. Both sounds are equally loud (RMS), and switching keeps the place;
drag in the first picture to loop a part. Keys: space plays, A and B switch.</p>
<script type="importmap">$modules</script>
<script type="application/json" id="data">$data</script>
<script type="module">import "mirrornet/report.js";</script>
""")
LOOK = Template("""\
<h2>Look</h2>
<figure>
<div class="card picture" tabindex="0"><img src="$picture" alt="Auditory spectrograms of the target,
of the match and of their difference, with the notes of the match below on the same time axis">
</div>
<figcaption class="quiet">What the ear gets from both sounds, over time and frequency. The paler the
difference, the closer the match.</figcaption>
</figure>
""")
TIMBRE = Template("""\
<figure>
<div class="card picture" tabindex="0"><img src="$picture" alt="Amplitudes of the harmonics of low
and of high notes, of other partials if there are any, and of noise,
over the time since a note's onset"></div>
<figcaption class="quiet">The timbre: how loud each harmonic is, from a note’s onset on, for low and
for high notes; the partials beside the harmonics, if it is a bell or a bar; and the
noise.</figcaption>
</figure>
""")
PICTURE_FILE = """\
<dt><a href="compare.png">compare.png</a></dt><dd>spectrograms and notes as a picture</dd>"""

TIMBRE_FILE = """\
<dt><a href="timbre.png">timbre.png</a></dt><dd>the harmonics and the noise of the patch</dd>"""


def in_words(error: float) -> str:
    """Return the closeness, from `CLOSENESS`, of a match with this `spectrogram_error`.

    >>> in_words(0.03), in_words(1.58), in_words(math.nan)
    ('very close', 'no match', 'not measurable')
    """
    return next((words for limit, words in CLOSENESS if error <= limit), "not measurable")


def percent(share: float) -> str:
    """Format a share as a percentage with two significant digits.

    >>> percent(0.0312), percent(0.00071), percent(1.584), percent(0)
    ('3.1 %', '0.071 %', '158 %', '0 %')
    """
    digits = f"{100 * share:.2g}" if share < 0.995 else f"{100 * share:.0f}"
    return f"{digits} %"


def verdict(error: float) -> str:
    """Describe a `spectrogram_error` in one sentence for users.

    >>> verdict(0.03)
    "The match differs from the target by 3 % of the spectrogram's variance: very close."
    """
    if not math.isfinite(error):
        return "How far the match is from the target could not be measured."
    return (
        f"The match differs from the target by {percent(error)} of the spectrogram's variance: "
        f"{in_words(error)}."
    )


def tempo_in_words(tempo: Tempo) -> str:
    """Describe a tempo.

    >>> tempo_in_words(Tempo(104.02, 0.3, 0.911)), tempo_in_words(Tempo(90.0, 0.0, None))
    ('104 beats per minute (91 % sure)', '90 beats per minute')
    """
    words = f"{tempo.bpm:.1f}".removesuffix(".0") + " beats per minute"
    return words if tempo.confidence is None else f"{words} ({100 * tempo.confidence:.0f} % sure)"


def candidate_path(number: int) -> str:
    """Return the folder, relative to the page, of answer `number`, 2 or more."""
    return f"candidate-{number}"


def render_report(
    match: Answer,
    figure_png: bytes | None,
    target_wav: bytes | None,
    match_wav: bytes | None,
    artifacts: Sequence[Artifact] = (),
    faults: Sequence[str] = (),
    timbre_png: bytes | None = None,
) -> str:
    """Return the report as HTML.

    Args:
        match: the answer to report on.
        figure_png: `plots.compare(match)` as PNG; None if it could not be drawn. It is embedded if
            the sounds are not.
        target_wav, match_wav: WAV files to embed, with views of both; None links to `target.wav` or
            `match.wav` in the page's folder, for sounds larger than `LARGEST_EMBEDDED`.
        artifacts: the plant's files that were written.
        faults: sentences on files that could not be made.
        timbre_png: `plots.timbre(match)` as PNG, to embed.
    """
    look, picture_file = "", PICTURE_FILE if figure_png is not None else ""
    if target_wav is not None and match_wav is not None:
        notes = score_json(match.score)["notes"]
        look = VIEWS.substitute(modules=import_map(), data=data_of(match, notes))
    elif figure_png is not None:
        look = LOOK.substitute(picture=embedded("image/png", figure_png))
    template = Template(files("mirrornet").joinpath("data/report.html").read_text("utf-8"))
    error = match.distances["spectrogram_error"]
    count = f"{len(match.notes)} note{'' if len(match.notes) == 1 else 's'}"
    duration_s = len(match.target) / match.sample_rate_hz
    beats = [tempo_in_words(match.tempo)] if match.tempo else []
    return template.substitute(
        title=escape(f"Your sound, played by {match.plant.name}"),
        facts=" · ".join(["MirrorNet match", count, f"{duration_s:.1f} s", *beats]),
        verdict=escape(verdict(error).replace("'", "’")),
        tempo=f"{match.tempo.bpm:.4g} bpm" if match.tempo else "120 bpm",
        scale=_scale(error),
        target=_sound("target.wav", target_wav),
        match=_sound("match.wav", match_wav),
        look=look,
        picture_file=picture_file + (TIMBRE_FILE if timbre_png else ""),
        table=notes_table(match, artifacts),
        meanings="".join(
            _entry(
                control.name,
                f"{control.meaning or 'as named'}; {_reach(control)}",
            )
            for control in match.plant.controls
        ),
        distances="".join(
            _entry(name.replace("_", " "), f"{value:.4g}")
            for name, value in match.distances.items()
        ),
        preset_steps=match.plant.guide(match.score) if artifacts else "",
        preset_files=_files(match, artifacts),
        warnings="".join(
            f'<p class="card">{escape(text)}</p>'
            for text in (*match.warnings, *_beyond_midi(match), *faults)
        ),
        patch=_patch(match, timbre_png) if match.one_patch else "",
        candidates=_candidates(match) if match.others else "",
    )


def table_page(title: str, body: str) -> str:
    """Return a plain HTML page with a title (as HTML) and a `body`, styled for tables."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>'
        "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;"
        "border-bottom:1px solid #dfe3e9}audio{display:block;height:2rem;width:13rem}</style>"
        f"<h1>{title}</h1>{body}</html>\n"
    )


def _beyond_midi(match: Answer) -> list[str]:
    """A sentence on knobs that are set per note but not in `melody.mid`, if there are any."""
    if not (names := without_controllers(match)):
        return []
    return [
        f"MIDI leaves {len(CONTROLLERS)} controllers free, and more knobs than that move from note "
        f"to note: {', '.join(names)} are not in melody.mid."
    ]


def _files(match: Answer, artifacts: Sequence[Artifact]) -> str:
    """Entries for the MIDI file of glides, and the plant's files: one for all notes by name, those
    of single notes by folder."""
    glides = match.one_patch and any(note.glide for note in match.notes)
    entries = {MPE_FILE: "the same, with whole glides, for MPE instruments"} if glides else {}
    entries |= {
        one.path if one.note is None else f"{Path(one.path).parent}/": one.what for one in artifacts
    }
    return "".join(_entry(place, what) for place, what in entries.items())


def _reach(control: Control) -> str:
    if control.kind == "choice":
        return f"one of {', '.join(control.choices)}"
    if control.kind == "switch":
        return "on or off"
    reach = f"{_short(control.low)} to {_short(control.high)} {control.unit}"
    return f"{reach}, {' by '.join(map(str, control.shape))} of them" if control.shape else reach


def _sound(name: str, wav: bytes | None) -> str:
    """Source of a sound: embedded, or a file for a long one, which would make the page slow."""
    return name if wav is None else embedded("audio/wav", wav)


def embedded(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _patch(match: Answer, timbre_png: bytes | None) -> str:
    """The patch, and its timbre."""
    about = (
        "How sure: what was heard of a knob, from nothing (it makes no difference here, or could "
        "not be told) to all."
        if match.confidence
        else "They were found without reading, so nothing is known of how sure each is."
    )
    picture = embedded("image/png", timbre_png) if timbre_png else ""
    return (
        f'<h2>The patch</h2><div class="card scroll" tabindex="0">{patch_table(match)}</div>'
        f'<p class="quiet">All notes share these. {about}</p>'
        + (TIMBRE.substitute(picture=picture) if picture else "")
    )


def patch_table(match: Answer) -> str:
    """Table of the patch, with the confidence of each knob, if it was read."""
    rows, sure = [], match.confidence
    for control in match.plant.controls.patch:
        value = match.score.patch[control.name]
        name = escape(control.name.replace("_", " "))
        rows.append(
            f'<tr><th scope="row">{name}<small> {escape(control.unit)}</small></th>'
            f"{_knob(control, value)}"
            + (f"<td>{100 * sure.get(control.name, 0):.0f} %</td></tr>" if sure else "</tr>")
        )
    head = '<th scope="col">knob</th><th scope="col">value</th>'
    head += '<th scope="col">how sure</th>' if sure else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _candidates(match: Answer) -> str:
    """Table of the other answers, with the knobs in which each differs most."""
    rows = []
    for number, other in enumerate(match.others, 2):
        place = candidate_path(number)
        error = other.distances["spectrogram_error"]
        rows.append(
            f'<tr><th scope="row"><a href="{place}/report.html">{number}</a></th>'
            f"<td>{escape(percent(error))}</td>"
            f'<td><audio controls preload="none" src="{place}/match.wav"></audio></td>'
            f"<td>{escape(', '.join(_other_in(match, other)))}</td></tr>"
        )
    return (
        '<h2>Other candidates</h2><div class="card scroll" tabindex="0"><table><thead><tr>'
        '<th scope="col"></th><th scope="col">difference</th><th scope="col">sound</th>'
        f'<th scope="col">above all other in</th></tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )


def _other_in(match: Answer, other: Answer) -> list[str]:
    """The knobs in which two patches differ most, differences weighted by confidence."""

    def apart(control: Control) -> float:
        patches = (one.score.patch for one in (match, other))
        a, b = (np.ravel(control.from_physical(patch[control.name])) for patch in patches)
        far = np.abs(way([control] * control.size, a, b)).mean()
        return float(far) * match.confidence.get(control.name, 0)

    most = sorted(match.plant.controls.patch, key=apart, reverse=True)[:MOST_DIFFERENT]
    return [control.name.replace("_", " ") for control in most if apart(control) > 0]


def _entry(term: str, meaning: str) -> str:
    return f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>"


def _scale(error: float) -> str:
    """List of the grades of `CLOSENESS`, with this match's marked."""
    here = in_words(error)
    steps = []
    for limit, words in CLOSENESS:
        reach = f"up to {100 * limit:g} %" if math.isfinite(limit) else "beyond"
        current = ' aria-current="true"' if words == here else ""
        steps.append(f"<li{current}>{escape(words)} <small>{reach}</small></li>")
    return f'<ol class="scale">{"".join(steps)}</ol>'


def notes_table(match: Answer, artifacts: Sequence[Artifact] = ()) -> str:
    """Table with a row per note; a bar shows each control's position in its range."""
    space = match.plant.controls
    knobs = space.own if match.one_patch else space.knobs
    columns = [("note", ""), ("pitch", "MIDI"), ("starts", "s"), ("ends", "s")]
    columns += [("confidence", "%")] if match.read else []
    columns += [(control.name.replace("_", " "), control.unit) for control in knobs]
    head = "".join(
        f'<th scope="col">{escape(name)}<small>{escape(unit)}</small></th>'
        for name, unit in columns
    )
    places = {one.note: one.path for one in artifacts if one.note is not None}
    rows = []
    for index, note in enumerate(match.notes):
        name = f"{index + 1} · {note_name(note.pitch_midi)}"
        if index in places:
            name = f'<a href="{quote(places[index])}">{name}</a>'
        fixed = (int(note.pitch_midi), f"{note.onset_s:.3f}", f"{note.offset_s:.3f}")
        if note.confidence is not None:
            fixed += (f"{100 * note.confidence:.0f}",)
        cells = "".join(f"<td>{value}</td>" for value in fixed)
        for control in knobs:
            cells += _knob(control, note.controls[control.name])
        rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _knob(control: Control, value: Any) -> str:
    """Table cell with a value and a bar for its position in its range (for a table, the mean)."""
    if control.shape:
        place, shown = float(np.mean(control.from_physical(value))), "table"
    else:
        place = float(control.from_physical(value))
        match control.kind:
            case "choice":
                shown = escape(str(value))
            case "switch":
                shown = "on" if value else "off"
            case "integer":
                shown = f"{round(value)}"
            case _:
                shown = _short(value)
    at = 100 * min(max(place, 0.0), 1.0)
    return f'<td class="knob">{shown}<i style="--at:{at:.1f}%"></i></td>'


def _short(value: float) -> str:
    """Format a number with three significant digits and no exponent.

    >>> _short(1234.5), _short(0.013457), _short(-3.6829), _short(0.0)
    ('1234', '0.0135', '−3.68', '0')
    """
    decimals = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{min(max(decimals, 0), 5)}f}".replace("-", "−")
