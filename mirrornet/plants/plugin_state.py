"""Presets of plug-ins: files that a DAW loads, cut from the state that the host saves.

A VST2 bank (`.fxb`) and preset (`.fxp`) are big-endian structures of the VST 2.4 SDK
(vstfxstore.h): four-letter codes, sizes, and a chunk that only the plug-in can read.
"""

import struct

from ..errors import PlantError

BANK = struct.Struct(">4si4siiii128xi")  # magic, size, kind, version, plug-in, its version, count
PRESET = struct.Struct(">4si4siiii28si")  # the same, with a name in place of the reserved bytes
NAME_BYTES = 28
MAGIC, BANK_CHUNK, PRESET_CHUNK = b"CcnK", b"FBCh", b"FPCh"
PRESET_VERSION = 1
HEADER_BYTES = 8  # magic and size, which the size does not count


def fxp_of(bank: bytes, name: str) -> bytes:
    """The preset `name` with the state of a saved bank that is one chunk.

    Raises PlantError for another kind of state.
    """
    if len(bank) < BANK.size or bank[:4] != MAGIC or bank[8:12] != BANK_CHUNK:
        raise PlantError("the plug-in's state is no VST2 bank of one chunk; no preset can be made.")
    _, _, _, _, plugin, version, _, size = BANK.unpack_from(bank)
    chunk = bank[BANK.size : BANK.size + size]
    if len(chunk) != size:
        raise PlantError("the plug-in's state is cut short; no preset can be made.")
    length = PRESET.size - HEADER_BYTES + size
    title = name.encode("ascii", "replace")[: NAME_BYTES - 1]
    head = (MAGIC, length, PRESET_CHUNK, PRESET_VERSION, plugin, version, 1, title, size)
    return PRESET.pack(*head) + chunk
