"""Standard MIDI Files read by the letter of RP-001, without the library that wrote them.

Everything that a strict reader could stumble over is an AssertionError.
"""

import struct
from typing import NamedTuple

DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}
END_OF_TRACK, TRACK_NAME, TEMPO, TIME_SIGNATURE = 0x2F, 0x03, 0x51, 0x58


class Event(NamedTuple):
    """What happens at a tick: a channel message (status, data), or a meta event (0xFF, type and
    content)."""

    tick: int
    status: int
    data: bytes

    def is_meta(self, kind: int) -> bool:
        return self.status == 0xFF and self.data[0] == kind


def read(content: bytes) -> tuple[int, list[list[Event]]]:
    """Ticks per quarter note, and the events of each track."""
    kind, size = content[:4], int.from_bytes(content[4:8], "big")
    assert (kind, size) == (b"MThd", 6)
    form, count, division = struct.unpack(">HHH", content[8:14])
    assert form == 1
    assert division < 0x8000, "time code in place of ticks per quarter note"
    tracks, at = [], 14
    while at < len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "big")
        assert content[at : at + 4] == b"MTrk"
        body = content[at + 8 : at + 8 + size]
        assert len(body) == size, "a chunk is cut off"
        tracks.append(_events(body))
        at += 8 + size
    assert len(tracks) == count
    return division, tracks


def _events(body: bytes) -> list[Event]:
    events, at, tick, running = [], 0, 0, 0
    while at < len(body):
        assert not (events and events[-1].is_meta(END_OF_TRACK)), "events after the end of track"
        wait, at = _quantity(body, at)
        tick += wait
        status = body[at] if body[at] & 0x80 else running
        at += body[at] >> 7
        if status == 0xFF:
            length, start = _quantity(body, at + 1)
            data, at, running = body[at : at + 1] + body[start : start + length], start + length, 0
        else:
            assert status & 0xF0 in DATA_BYTES, f"status {status:#x}"
            length = DATA_BYTES[status & 0xF0]
            data, at, running = body[at : at + length], at + length, status
            assert len(data) == length
            assert max(data) < 0x80, "a data byte above 127"
        events.append(Event(tick, status, data))
    assert events[-1].is_meta(END_OF_TRACK)
    return events


def _quantity(body: bytes, at: int) -> tuple[int, int]:
    """A quantity of variable length, four bytes at most, and where it ends."""
    value = 0
    for place in range(at, at + 4):
        value = value << 7 | body[place] & 0x7F
        if body[place] < 0x80:
            return value, place + 1
    raise AssertionError("a quantity of more than four bytes")
