"""Voices of the Yamaha DX7: their 145 parameters as controls, their data in MIDI system exclusive
messages, and random ones.

Names and ranges are those of the DX7's panel. The data formats, of one voice (VCED) and of a bank
of 32 (VMEM), are those of the DX7's owner's manual, "MIDI data format".
"""

from collections.abc import Mapping, Sequence

from ..controls import Control, ControlSpace, Value
from ..errors import PlantError

OPERATORS = range(1, 7)
STAGES = range(1, 5)  # of envelopes
CURVES = ("-lin", "-exp", "+exp", "+lin")
LFO_WAVES = ("triangle", "saw down", "saw up", "square", "sine", "sample and hold")
ALGORITHMS = tuple(str(number) for number in range(1, 33))
BANK_VOICES = 32
NAME = "MIRRORNET"
VOICE_HEADER = bytes((0xF0, 0x43, 0x00, 0x00, 0x01, 0x1B))  # Yamaha, channel 1, one voice
BANK_HEADER = bytes((0xF0, 0x43, 0x00, 0x09, 0x20, 0x00))  # the same, 32 voices
END = b"\xf7"


def _whole(name: str, high: int, low: int = 0, meaning: str = "", unit: str = "") -> Control:
    return Control(name, unit, low, high, meaning=meaning, scope="patch", kind="integer")


def _choice(name: str, choices: Sequence[str], meaning: str = "") -> Control:
    return Control(name, meaning=meaning, scope="patch", kind="choice", choices=tuple(choices))


def _operator(number: int) -> list[Control]:
    """The 21 parameters of an operator, in the order of VCED."""
    op = f"op{number}_"
    return [
        *(_whole(f"{op}rate{n}", 99, meaning="of the envelope; 99 is fastest") for n in STAGES),
        *(_whole(f"{op}level{n}", 99, meaning="of the envelope") for n in STAGES),
        _whole(f"{op}breakpoint", 99, meaning="key from which levels are scaled; 39 is C3"),
        _whole(f"{op}left_depth", 99, meaning="of level scaling"),
        _whole(f"{op}right_depth", 99, meaning="of level scaling"),
        _choice(f"{op}left_curve", CURVES, "of level scaling"),
        _choice(f"{op}right_curve", CURVES, "of level scaling"),
        _whole(f"{op}rate_scaling", 7, meaning="how much faster envelopes of high keys are"),
        _whole(f"{op}amp_sensitivity", 3, meaning="to the LFO's amplitude modulation"),
        _whole(f"{op}velocity_sensitivity", 7),
        _whole(f"{op}output", 99, meaning="level, 0.75 dB a step"),
        _choice(f"{op}mode", ("ratio", "fixed"), "frequency follows the key or not"),
        _whole(f"{op}coarse", 31, meaning="frequency ratio, 0 for 0.5; or 1, 10, 100, 1000 Hz"),
        _whole(f"{op}fine", 99, meaning="frequency, % above the coarse one"),
        _whole(f"{op}detune", 7, -7),
    ]


PARAMETERS = tuple(control.name.removeprefix("op1_") for control in _operator(1))
"""The names of an operator's parameters, without its number."""

# In the order of VCED, which begins with operator 6.
VOICE = ControlSpace(
    (
        *(control for number in reversed(OPERATORS) for control in _operator(number)),
        *(_whole(f"pitch_rate{n}", 99, meaning="of the pitch envelope") for n in STAGES),
        *(_whole(f"pitch_level{n}", 99, meaning="of the pitch envelope; 50: none") for n in STAGES),
        _choice("algorithm", ALGORITHMS, "which operators modulate which"),
        _whole("feedback", 7, meaning="of the operator that modulates itself"),
        Control("key_sync", kind="switch", scope="patch", meaning="oscillators start with the key"),
        _whole("lfo_speed", 99),
        _whole("lfo_delay", 99),
        _whole("lfo_pitch_depth", 99),
        _whole("lfo_amp_depth", 99),
        Control("lfo_sync", kind="switch", scope="patch", meaning="the LFO starts with the key"),
        _choice("lfo_wave", LFO_WAVES),
        _whole("pitch_sensitivity", 7, meaning="to the LFO's pitch modulation"),
        _whole("transpose", 24, -24, unit="semitones"),
    ),
    "all",
)
OFFSETS = {"transpose": 24, **{f"op{number}_detune": 7 for number in OPERATORS}}

INITIAL: dict[str, Value] = {
    **{control.name: 0 for control in VOICE if control.kind == "integer"},
    **{control.name: control.choices[0] for control in VOICE if control.kind == "choice"},
    **{f"op{number}_rate{n}": 99 for number in OPERATORS for n in STAGES},
    **{f"op{number}_level{n}": 99 for number in OPERATORS for n in STAGES if n < 4},
    **{f"op{number}_breakpoint": 39 for number in OPERATORS},
    **{f"op{number}_coarse": 1 for number in OPERATORS},
    **{f"pitch_rate{n}": 99 for n in STAGES},
    **{f"pitch_level{n}": 50 for n in STAGES},
    "key_sync": True,
    "lfo_sync": True,
    "lfo_speed": 35,
    "lfo_wave": "sine",
}
"""A voice of which only operator outputs are missing: all operators are silent."""


def voice_bytes(values: Mapping[str, Value]) -> bytes:
    """The 155 bytes (VCED) of a voice: its parameters, then ten letters of a name."""
    parameters = []
    for control in VOICE:
        value = values[control.name]
        number = control.choices.index(str(value)) if control.choices else int(value)
        parameters.append(number + OFFSETS.get(control.name, 0))
    return bytes(parameters) + NAME.ljust(10).encode("ascii")


def voice_message(voice: bytes) -> bytes:
    """A voice as a MIDI message, the content of a `.syx` file of 163 bytes."""
    return VOICE_HEADER + voice + _checksum(voice) + END


def bank_message(voices: Sequence[bytes]) -> bytes:
    """Up to 32 voices as a bank, the content of a `.syx` file of 4,104 bytes (VMEM). The places
    that are left hold the initial voice."""
    rest = [voice_bytes(INITIAL)] * (BANK_VOICES - len(voices))
    packed = b"".join(_packed(voice) for voice in (*voices, *rest))
    return BANK_HEADER + packed + _checksum(packed) + END


def _checksum(data: bytes) -> bytes:
    """The seven bits that, added to those of the data, give zero."""
    return bytes((-sum(data) & 0x7F,))


def _packed(voice: bytes) -> bytes:
    """The 128 bytes of VMEM: those of VCED with small parameters sharing a byte."""
    packed = bytearray()
    for start in range(0, 126, 21):
        op = voice[start : start + 21]
        packed += op[:11]
        packed.append(op[11] | op[12] << 2)
        packed.append(op[13] | op[20] << 3)
        packed.append(op[14] | op[15] << 2)
        packed.append(op[16])
        packed.append(op[17] | op[18] << 1)
        packed.append(op[19])
    packed += voice[126:135]
    packed.append(voice[135] | voice[136] << 3)
    packed += voice[137:141]
    packed.append(voice[141] | voice[142] << 1 | voice[143] << 4)
    packed += voice[144:]
    return bytes(packed)


def voice_of(message: bytes) -> dict[str, Value]:
    """The parameters of the voice in a `.syx` file; of a bank, the first voice.

    Raises PlantError for any other file, and for values that no voice can have.
    """
    message = message[:2] + bytes(byte & 0xF0 for byte in message[2:3]) + message[3:]  # any channel
    for header, size, unpack in ((VOICE_HEADER, 155, bytes), (BANK_HEADER, 4096, _unpacked)):
        data = message[len(header) : len(header) + size]
        if message == header + data + _checksum(data) + END and len(data) == size:
            return _values(unpack(data))
    raise PlantError("this is no voice and no bank of a DX7 (.syx, of 163 or 4104 bytes).")


def _values(voice: bytes) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for control, byte in zip(VOICE, voice, strict=False):
        number = byte - OFFSETS.get(control.name, 0)
        if not control.low <= number <= control.high:
            raise PlantError(f"the voice has {number} for {control.name}, which cannot be.")
        found[control.name] = number
        if control.kind == "choice":
            found[control.name] = control.choices[number]
        elif control.kind == "switch":
            found[control.name] = bool(number)
    return found


def _unpacked(bank: bytes) -> bytes:
    """The first voice of a bank, as VCED: the inverse of `_packed`."""
    voice = bytearray()
    for start in range(0, 102, 17):
        op = bank[start : start + 17]
        voice += op[:11]
        voice += bytes((op[11] & 3, op[11] >> 2 & 3, op[12] & 7, op[13] & 3, op[13] >> 2 & 7))
        voice += bytes((op[14], op[15] & 1, op[15] >> 1 & 31, op[16], op[12] >> 3 & 15))
    rest = bank[102:128]
    voice += rest[:9]
    voice += bytes((rest[9] & 7, rest[9] >> 3 & 1))
    voice += rest[10:14]
    voice += bytes((rest[14] & 1, rest[14] >> 1 & 7, rest[14] >> 4 & 7))
    voice += rest[15:]
    return bytes(voice)
