"""A match as a MIDI file that sequencers can play and loop.

Format 1: a tempo track, then a track for each part. Times are those of the notes; if a tempo is
known, bars start where the music does: an opening bar of sixteenths, with a tempo of its own, lasts
until then. A track that uses the pitch wheel first sets its range (RPN 0). Each track ends with
wheel and controllers as they were before its first note, so that they do not affect what is played
next.
"""

import io
import math
from collections.abc import Sequence

import mido

from ..score import BEATS_PER_MINUTE, TICKS_PER_BEAT, Note, midi_velocity
from ..tempo import Tempo, quantized
from .answer import Answer

# Controllers that MIDI leaves undefined, except 102 and 106, which some use for pressure and slide.
CONTROLLERS = (*range(20, 32), *range(103, 106), *range(107, 120))
LEAD_S = 0.04  # how long before a note its controllers change, as synthesizers smooth them
BEND_SEMITONES = 2  # the default range of a pitch wheel
MPE_FILE = "melody-mpe.mid"
# MPE: the parameter that gives the number of channels for notes, these channels (the first is for
# what concerns all notes), and the usual range of their wheels.
MPE_CHANNELS, MEMBERS, MPE_SEMITONES = 6, range(1, 16), 48
# Order of events at the same tick: a note ends before the same one starts again.
NOTE_OFF, CHANGE, NOTE_ON, END = range(4)
Event = tuple[int, int, mido.Message | mido.MetaMessage]  # tick, order within it, message
SHORTEST_LEAD_S = 0.04  # of an opening; a shorter one would need a tempo that few sequencers have
SIXTEENTH = TICKS_PER_BEAT // 4


class Grid:
    """Ticks of a file: an opening, of whole bars or of one of `lead` sixteenths if it is short,
    lasts until the music starts; then bars of four beats follow at the tempo."""

    def __init__(self, tempo: Tempo | None):
        self.bpm = tempo.bpm if tempo else float(BEATS_PER_MINUTE)
        first_s = tempo.bar_s if tempo else 0.0
        self.lead = 0
        if first_s >= SHORTEST_LEAD_S:
            sixteenths = round(first_s * self.bpm / 15)
            self.lead = (
                max(sixteenths, 1) if sixteenths < 8 else 16 * max(round(sixteenths / 16), 1)
            )
        self.first_s = first_s if self.lead else 0.0

    def tick(self, time_s: float) -> int:
        """The nearest tick."""
        start = SIXTEENTH * self.lead
        if time_s < self.first_s:
            return round(start * time_s / self.first_s)
        return start + self.ticks(time_s - self.first_s)

    def ticks(self, length_s: float) -> int:
        """A length of time at the tempo, in ticks."""
        return round(length_s * TICKS_PER_BEAT * self.bpm / 60)

    def heads(self) -> list[Event]:
        """Time signatures and tempos."""
        bars = [(0, 4, 4, self.bpm)]
        if self.lead:
            opening = (4, 4) if self.lead % 16 == 0 else (self.lead, 16)
            bars = [(0, *opening, 15 * self.lead / self.first_s)]
            bars.append((SIXTEENTH * self.lead, 4, 4, self.bpm))
        events: list[Event] = []
        for tick, beats, of, bpm in bars:
            signature = mido.MetaMessage("time_signature", numerator=beats, denominator=of)
            tempo = mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))
            events += [(tick, CHANGE, signature), (tick, CHANGE, tempo)]
        return events


def velocity(match: Answer, note: Note) -> int:
    """Return the MIDI velocity of a note, 1..127: the control with the role `velocity`, or one
    computed from the role `level` in dB, 127 at its maximum (see `midi_velocity`), else 127."""
    own = match.plant.controls.own
    if strength := own.of_role("velocity"):
        return min(max(round(note.controls[strength.name]), 1), 127)
    level = own.of_role("level")
    if level is None or level.unit != "dB":
        return 127
    return midi_velocity(note.controls[level.name] - level.high)


def bends(match: Answer, notes: Sequence[Note]) -> list[int]:
    """Return the pitch wheel's value for each note, ±8191 for ±`BEND_SEMITONES`: its deviation
    from the score's common tuning. All 0 without a control of role `tune` or a shared patch."""
    tune = match.plant.controls.own.of_role("tune")
    if tune is None or not match.one_patch:
        return [0] * len(notes)
    common = match.score.common(tune.name)
    reach_cents = 100 * BEND_SEMITONES
    return [round(8191 * (note.controls[tune.name] - common) / reach_cents) for note in notes]


def controllers(match: Answer) -> dict[str, int]:
    """Return MIDI controller numbers for the knobs that are set per note, by the names that the
    synthesizer shows; see `Plant.automation`."""
    return dict(zip(_moving(match), CONTROLLERS, strict=False))


def without_controllers(match: Answer) -> list[str]:
    """List the knobs that are set per note and for which no controller is left."""
    return _moving(match)[len(CONTROLLERS) :]


def _moving(match: Answer) -> list[str]:
    return list(match.plant.automation(match.score)[0]) if match.score.notes else []


def midi(
    match: Answer, tracks: Sequence[tuple[str, Sequence[Note]]], automated: bool = False
) -> bytes:
    """Encode named tracks of notes as a MIDI file (format 1), at the tempo of the match (else 120
    beats per minute). Times are rounded to ticks, 960 of a beat; those of a match that is
    `quantized` move to the nearest part of a whole note.

    If `automated`, `controllers` are set before each note. Every track is at least as long as the
    target, so that it loops with the sound. The pitch wheel moves at the onset of each note whose
    tuning differs, and with glides, by at most its default range of two semitones.
    """
    grid = Grid(match.tempo)
    length = grid.tick(len(match.target) / match.sample_rate_hz)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    file.tracks.append(_track("MirrorNet", grid.heads(), length))
    for name, notes in tracks:
        spans = _spans(match, notes, grid)
        last = max([length, *(end for _, end in spans)])
        events = []
        for note, (start, end) in zip(notes, spans, strict=True):
            key, level = int(note.pitch_midi), velocity(match, note)
            events.append((start, NOTE_ON, mido.Message("note_on", note=key, velocity=level)))
            events.append((end, NOTE_OFF, mido.Message("note_off", note=key)))
        events += _wheel(bends(match, notes), notes, spans, grid, last)
        events += _knobs(match, notes, spans, grid.ticks(LEAD_S), last) if automated else []
        file.tracks.append(_track(name, events, last))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _spans(match: Answer, notes: Sequence[Note], grid: Grid) -> list[tuple[int, int]]:
    """Start and end of each note in ticks; at least one tick apart."""
    times_s = [(note.onset_s, note.offset_s) for note in notes]
    if match.tempo and match.quantized:
        times_s = _on_grid(times_s, match.tempo, match.quantized)
    spans = []
    for start_s, end_s in times_s:
        start = grid.tick(max(start_s, 0.0))
        spans.append((start, max(grid.tick(end_s), start + 1)))
    return spans


def _on_grid(
    times_s: Sequence[tuple[float, float]], tempo: Tempo, parts: int
) -> list[tuple[float, float]]:
    """Starts and ends moved to the grid. A note that would start with the one before it stays where
    it was heard, as a grace note does; none ends after the next one starts."""
    starts_s: list[float] = []
    for start_s, place_s in zip(
        (start for start, _ in times_s),
        quantized([start for start, _ in times_s], tempo, parts).tolist(),
        strict=True,
    ):
        taken = starts_s and place_s <= starts_s[-1]
        starts_s.append(max(start_s, starts_s[-1]) if taken else place_s)
    ends_s = quantized([end for _, end in times_s], tempo, parts).tolist()
    found = []
    for start_s, end_s, next_s in zip(starts_s, ends_s, [*starts_s[1:], math.inf], strict=True):
        found.append((start_s, min(max(end_s, start_s + tempo.part_s(parts)), next_s)))
    return found


def _track(name: str, events: Sequence[Event], last: int) -> mido.MidiTrack:
    """A track of the events in order, with its end at the tick `last`."""
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    now = 0
    ending = (last, END, mido.MetaMessage("end_of_track"))
    for tick, _, message in sorted([*events, ending], key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    return track


def _wheel(
    places: Sequence[int],
    notes: Sequence[Note],
    spans: Sequence[tuple[int, int]],
    grid: Grid,
    last: int,
) -> list[Event]:
    """Pitch wheel events: `places` at the starts of the notes, from there on their glides, and 0
    before and after them."""
    if not notes:
        return []
    moves = [(0, 0)]
    ends = [*(start for start, _ in spans[1:]), last]
    for place, note, (start, _), end in zip(places, notes, spans, ends, strict=True):
        moves += _bends(note, place, BEND_SEMITONES, start, end, grid)
    moves.append((last, 0))
    if not any(place for _, place in moves):
        return []
    messages = [
        (0, mido.Message("control_change", control=c, value=v))
        for c, v in _registered(0, BEND_SEMITONES)
    ]
    wheel = None
    for tick, place in moves:
        if place != wheel:
            messages.append((tick, mido.Message("pitchwheel", pitch=place)))
        wheel = place
    return [(tick, CHANGE, message) for tick, message in messages]


def _bends(
    note: Note, place: int, semitones: int, start: int, end: int, grid: Grid
) -> list[tuple[int, int]]:
    """Ticks and values of the wheel, whose range is so many semitones: `place` at the start of a
    note, and its glide until the tick `end`."""
    reach = 8191 / semitones
    moves = [(start, place + reach * note.glide[0][1] if note.glide else place)]
    for since_s, beside in note.glide:
        tick = start + grid.tick(note.onset_s + since_s) - grid.tick(note.onset_s)
        if start < tick < end:
            moves.append((tick, place + reach * beside))
    return [(tick, min(max(round(value), -8191), 8191)) for tick, value in moves]


def _registered(parameter: int, value: int) -> list[tuple[int, int]]:
    """Controllers, and their values, that set a registered parameter; then none is selected, so
    that a stray data entry changes nothing (MIDI 1.0, RP-018)."""
    return [(101, 0), (100, parameter), (6, value), (38, 0), (101, 127), (100, 127)]


def mpe(match: Answer) -> bytes | None:
    """Encode the notes for MIDI polyphonic expression (MPE 1.0): each has a channel to itself, in
    turn, whose wheel plays its whole glide. None if no note glides, or knobs move from note to
    note."""
    notes = match.notes
    if not match.one_patch or not any(note.glide for note in notes):
        return None
    grid = Grid(match.tempo)
    spans = _spans(match, notes, grid)
    last = max([grid.tick(len(match.target) / match.sample_rate_hz), *(end for _, end in spans)])
    events: list[Event] = []

    def control(channel: int, settings: Sequence[tuple[int, int]]) -> None:
        for number, value in settings:
            message = mido.Message("control_change", channel=channel, control=number, value=value)
            events.append((0, CHANGE, message))

    control(0, _registered(MPE_CHANNELS, len(MEMBERS)))
    for channel in MEMBERS:
        control(channel, _registered(0, MPE_SEMITONES))
    for number, (note, place, (start, end)) in enumerate(
        zip(notes, bends(match, notes), spans, strict=True)
    ):
        channel = MEMBERS[number % len(MEMBERS)]
        place = round(place * BEND_SEMITONES / MPE_SEMITONES)
        for tick, value in _bends(note, place, MPE_SEMITONES, start, end, grid):
            message = mido.Message("pitchwheel", channel=channel, pitch=value)
            events.append((tick, CHANGE, message))
        key, level = int(note.pitch_midi), velocity(match, note)
        on = mido.Message("note_on", channel=channel, note=key, velocity=level)
        off = mido.Message("note_off", channel=channel, note=key)
        events += [(start, NOTE_ON, on), (end, NOTE_OFF, off)]
    for channel in MEMBERS[: len(notes)]:
        events.append((last, CHANGE, mido.Message("pitchwheel", channel=channel, pitch=0)))
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    file.tracks += [_track("MirrorNet", grid.heads(), last), _track("melody", events, last)]
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _knobs(
    match: Answer, notes: Sequence[Note], spans: Sequence[tuple[int, int]], lead: int, last: int
) -> list[Event]:
    """Controller events shortly before each note; at the end, the values of the first note."""
    numbers = controllers(match)
    if not numbers or not notes:
        return []
    # Shortly before a note, but not while the one before it is held.
    free = [0, *(end for _, end in spans)]
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
