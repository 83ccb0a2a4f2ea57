"""A match as a MIDI file that any sequencer plays, loops and leaves as it found things.

Format 1: a tempo track, then a track for each part. A track announces the reach of its pitch wheel
(RPN 0) where it moves it, and ends with wheel and controllers where they stood before its first
note, so that what is played next on it sounds as it should.
"""

import io
from collections.abc import Sequence

import mido

from ..score import BEATS_PER_MINUTE, TICKS_PER_BEAT, TICKS_PER_S, Note, midi_velocity
from .answer import Answer

# Those that MIDI leaves free, but for 102 and 106, with which some send pressure and slide.
CONTROLLERS = (*range(20, 32), *range(103, 106), *range(107, 120))
LEAD_S = 0.04  # in which knobs that a synthesizer smooths arrive before a note
BEND_SEMITONES = 2  # the reach of a pitch wheel, unless a synthesizer is told otherwise
# Registered parameter 0, the wheel's reach, set to semitones and cents; then no parameter is
# selected, so that a stray data entry changes nothing (MIDI 1.0, RP-018).
ANNOUNCED_BEND = ((101, 0), (100, 0), (6, BEND_SEMITONES), (38, 0), (101, 127), (100, 127))
# What comes first of what happens at one tick: a note ends before the same one starts again.
NOTE_OFF, CHANGE, NOTE_ON, END = range(4)
Event = tuple[int, int, mido.Message | mido.MetaMessage]  # tick, order within it, what happens


def velocity(match: Answer, note: Note) -> int:
    """MIDI velocity: the control with the role `velocity`, or from that with the role `level`, 127
    at its top (see `midi_velocity`). Plants with neither play everything at 127."""
    own = match.plant.controls.own
    if strength := own.of_role("velocity"):
        return min(max(round(note.controls[strength.name]), 1), 127)
    level = own.of_role("level")
    if level is None or level.unit != "dB":
        return 127
    return midi_velocity(note.controls[level.name] - level.high)


def bends(match: Answer, notes: Sequence[Note]) -> list[int]:
    """Where the pitch wheel stands for notes out of the recording's tuning, of +-8191 for
    +-`BEND_SEMITONES`."""
    tune = match.plant.controls.own.of_role("tune")
    if tune is None or not match.one_patch:
        return [0] * len(notes)
    common = match.score.common(tune.name)
    reach_cents = 100 * BEND_SEMITONES
    return [round(8191 * (note.controls[tune.name] - common) / reach_cents) for note in notes]


def controllers(match: Answer) -> dict[str, int]:
    """MIDI controller numbers for the knobs that move from note to note, by the names that the
    synthesizer gives them."""
    return dict(zip(_moving(match), CONTROLLERS, strict=False))


def without_controllers(match: Answer) -> list[str]:
    """Knobs that move from note to note, and for which no controller is left."""
    return _moving(match)[len(CONTROLLERS) :]


def _moving(match: Answer) -> list[str]:
    return list(match.plant.automation(match.score)[0]) if match.score.notes else []


def midi(
    match: Answer, tracks: Sequence[tuple[str, Sequence[Note]]], automated: bool = False
) -> bytes:
    """A MIDI file (format 1) of named tracks of notes, times within 0.3 ms; if `automated`, with
    the `controllers` set before each note.

    Every track is as long as the target, so that it loops as the sound does. The pitch wheel moves
    before a note that is out of tune, by its usual two semitones at most.
    """
    length = _tick(len(match.target) / match.sample_rate_hz)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    heads = [
        (0, CHANGE, mido.MetaMessage("time_signature", numerator=4, denominator=4)),
        (0, CHANGE, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(BEATS_PER_MINUTE))),
    ]
    file.tracks.append(_track("MirrorNet", heads, length))
    for name, notes in tracks:
        spans = _spans(notes)
        last = max([length, *(end for _, end in spans)])
        events = []
        for note, (start, end) in zip(notes, spans, strict=True):
            key, level = int(note.pitch_midi), velocity(match, note)
            events.append((start, NOTE_ON, mido.Message("note_on", note=key, velocity=level)))
            events.append((end, NOTE_OFF, mido.Message("note_off", note=key)))
        events += _wheel(bends(match, notes), spans, last)
        events += _knobs(match, notes, spans, last) if automated else []
        file.tracks.append(_track(name, events, last))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _tick(time_s: float) -> int:
    return round(time_s * TICKS_PER_S)


def _spans(notes: Sequence[Note]) -> list[tuple[int, int]]:
    """From which tick to which each note is held, one at least."""
    starts = [_tick(note.onset_s) for note in notes]
    return [
        (start, max(_tick(note.offset_s), start + 1))
        for start, note in zip(starts, notes, strict=True)
    ]


def _track(name: str, events: Sequence[Event], last: int) -> mido.MidiTrack:
    """Events in the order of their ticks, ended at the tick `last`."""
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    now = 0
    ending = (last, END, mido.MetaMessage("end_of_track"))
    for tick, _, message in sorted([*events, ending], key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    return track


def _wheel(places: Sequence[int], spans: Sequence[tuple[int, int]], last: int) -> list[Event]:
    """The pitch wheel at its `places` as notes start, and in the middle before and after them."""
    if not any(places):
        return []
    messages = [(0, mido.Message("control_change", control=c, value=v)) for c, v in ANNOUNCED_BEND]
    ticks = [0, *(start for start, _ in spans), last]
    wheel = None
    for tick, place in zip(ticks, [0, *places, 0], strict=True):
        if place != wheel:
            messages.append((tick, mido.Message("pitchwheel", pitch=place)))
        wheel = place
    return [(tick, CHANGE, message) for tick, message in messages]


def _knobs(
    match: Answer, notes: Sequence[Note], spans: Sequence[tuple[int, int]], last: int
) -> list[Event]:
    """A controller for each knob, shortly before each note; in the end, those of the first note."""
    numbers = controllers(match)
    if not numbers or not notes:
        return []
    # Shortly before a note, but not while the one before it is held.
    free = [0, *(end for _, end in spans)]
    lead = _tick(LEAD_S)
    ticks = [min(max(start - lead, free[n]), start) for n, (start, _) in enumerate(spans)]
    events: list[Event] = []
    stand: dict[int, int] = {}
    automated = match.plant.automation(match.score)
    for knobs, tick in zip([*automated, automated[0]], [*ticks, last], strict=True):
        for knob, number in numbers.items():
            value = round(127 * min(max(knobs[knob], 0.0), 1.0))
            if stand.get(number) != value:
                stand[number] = value
                change = mido.Message("control_change", control=number, value=value)
                events.append((tick, CHANGE, change))
    return events
