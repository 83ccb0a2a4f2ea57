"""Presets of plug-ins: files that a DAW loads, cut from the state that the host saves.

A VST2 bank (`.fxb`) and preset (`.fxp`) are big-endian structures of the VST 2.4 SDK
(vstfxstore.h): four-letter codes, sizes, and a chunk that only the plug-in can read. A VST3 preset
(`.vstpreset`) is little-endian (VST 3 SDK, vstpresetfile.cpp): the class of the plug-in, the states
of its component and its controller, and a list of where they are. The host saves these in an XML
text of its framework, JUCE.
"""

import ctypes
import platform
import struct
import sys
from pathlib import Path
from xml.etree import ElementTree

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


LITTLE_HEADER = struct.Struct("<4si32sq")  # magic, version, class, place of the list
LITTLE_ENTRY = struct.Struct("<4sqq")  # chunk, place, size
STATES = {"IComponent": b"Comp", "IEditController": b"Cont"}  # elements and chunks
JUCE_HEADER_BYTES = 8
JUCE_LETTERS = ".ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+"
# Of the interface IPluginFactory: its methods, in order, that are called.
COUNT_CLASSES, CLASS_INFO = 4, 5
AUDIO_CLASS = b"Audio Module Class"


def vstpreset_of(state: bytes, class_id: str) -> bytes:
    """The preset with a saved VST3 state, for the plug-in whose class is `class_id` (32 digits).

    Raises PlantError for another kind of state.
    """
    if state[:4] != b"VC2!":
        raise PlantError("the plug-in's state is no VST3 state; no preset can be made.")
    try:
        text = state[JUCE_HEADER_BYTES:].rstrip(b"\0").decode("utf-8")
        found = {element.tag: element.text or "" for element in ElementTree.fromstring(text)}
        chunks = {code: _juce_bytes(found[tag]) for tag, code in STATES.items() if tag in found}
    except (ElementTree.ParseError, ValueError) as error:
        raise PlantError(f"the plug-in's state cannot be read ({error}); no preset.") from error
    if b"Comp" not in chunks:
        raise PlantError("the plug-in's state has no component; no preset can be made.")
    entries, place = b"", LITTLE_HEADER.size
    for code, chunk in chunks.items():
        entries += LITTLE_ENTRY.pack(code, place, len(chunk))
        place += len(chunk)
    head = LITTLE_HEADER.pack(b"VST3", 1, class_id.encode("ascii"), place)
    return head + b"".join(chunks.values()) + b"List" + struct.pack("<i", len(chunks)) + entries


def _juce_bytes(text: str) -> bytes:
    """Decode JUCE's own base 64: a length, a point, and digits of 6 bits, the lowest first."""
    length, _, digits = text.partition(".")
    decoded = bytearray()
    for start in range(0, len(digits), 4):  # four digits are three bytes
        some = digits[start : start + 4]
        number = sum(JUCE_LETTERS.index(digit) << (6 * n) for n, digit in enumerate(some))
        decoded += number.to_bytes(3, "little")
    return bytes(decoded[: int(length)])


def class_id_of(plugin: Path) -> str:
    """The class of a VST3 instrument that this process has loaded, as 32 hexadecimal digits.

    Raises PlantError if it names none.
    """
    try:
        library = ctypes.CDLL(str(_library_of(plugin)))
        library.GetPluginFactory.restype = ctypes.c_void_p
    except (AttributeError, OSError) as error:
        raise PlantError(
            f"{plugin} is no VST3 plug-in ({error}); no preset can be made."
        ) from error
    factory = library.GetPluginFactory()
    methods = ctypes.cast(
        ctypes.cast(factory, ctypes.POINTER(ctypes.c_void_p))[0], ctypes.POINTER(ctypes.c_void_p)
    )
    count = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(methods[COUNT_CLASSES])
    describe = ctypes.CFUNCTYPE(
        ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.POINTER(_ClassInfo)
    )(methods[CLASS_INFO])
    for number in range(count(factory)):
        info = _ClassInfo()
        if describe(factory, number, ctypes.byref(info)) == 0 and info.category == AUDIO_CLASS:
            code = bytes(info.cid)
            if sys.platform == "win32":  # there it is a GUID, whose first numbers are little-endian
                code = struct.pack(">IHH", *struct.unpack("<IHH", code[:8])) + code[8:]
            return code.hex().upper()
    raise PlantError(f"{plugin} names no audio class; no preset can be made.")


class _ClassInfo(ctypes.Structure):
    """PClassInfo of the VST 3 SDK."""

    _fields_ = (
        ("cid", ctypes.c_uint8 * 16),
        ("cardinality", ctypes.c_int32),
        ("category", ctypes.c_char * 32),
        ("name", ctypes.c_char * 64),
    )


def _library_of(plugin: Path) -> Path:
    """The library in the bundle of a VST3 plug-in; on Windows it may be a single file."""
    if plugin.is_file():
        return plugin
    inside = {"darwin": "MacOS/*", "win32": "x86_64-win/*.vst3"}.get(
        sys.platform, f"{platform.machine()}-linux/*.so"
    )
    for library in sorted(plugin.glob(f"Contents/{inside}")):
        return library
    raise PlantError(f"{plugin} has no library for this system; no preset can be made.")
