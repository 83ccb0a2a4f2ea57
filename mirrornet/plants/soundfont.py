"""General MIDI instruments: the programs of a sound font, rendered by `tinysoundfont`.

This plant serves as a target: its only controls are the melody's. It is a pure function of them:

- Each note is rendered alone, at one velocity, and the sounds are added; so earlier notes neither
  take its voices nor share them.
- After each note, what still rings is faded out by the synthesizer within 10 ms and discarded; the
  next note starts from silence, with all voices and LFOs reset.

`tinysoundfont` interpolates samples linearly and does not filter them, so lower rates alias: render
at the sound font's own rate, usually 44.1 kHz, and resample after.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ..controls import ControlSpace
from ..errors import PlantError
from ..score import DURATION, MELODY_S, PITCH, Note
from .base import NotePlant

MELODY = ControlSpace((PITCH, DURATION), "melody")
CONTROL_SETS = {MELODY.name: MELODY}

SAMPLE_RATES_HZ = range(8000, 192001)
PROGRAMS = range(128)
RHODES = 4
VELOCITY = 100
FADE_S = 0.05  # rendered while tinysoundfont fades out what it was told to stop; it takes 10 ms
# Without dependencies: of pretty_midi only the sound font is used, and tinysoundfont needs PyAudio,
# which needs the headers of PortAudio, only for live playback.
INSTALL = "pip install --no-deps tinysoundfont pretty_midi"


class SoundFont(NotePlant):
    """One General MIDI program, 0..127: 4 is the electric piano (Rhodes), 40 violin, 73 flute. All
    but the Rhodes have the number in the plant's name.

    `sound_font` is an .sf2 or .sf3 file, by default TimGM6mb.sf2 from the package pretty_midi.
    Damage that leaves such a file its full length is not detected and can crash tinysoundfont; a
    `Pool` survives that.

    Raises PlantError for options that do not exist, for a file that is not a sound font or is
    truncated, and if tinysoundfont or the default sound font is missing.
    """

    name = "soundfont"
    control_sets = CONTROL_SETS
    tail_s = MELODY_S  # in a melody, a note may ring until the melody ends

    @classmethod
    def to_install(cls) -> str:
        return "" if find_spec("tinysoundfont") and find_spec("pretty_midi") else INSTALL

    def __init__(
        self,
        controls: Literal["melody"] = "melody",
        program: int = RHODES,
        sound_font: str | Path | None = None,
        sample_rate_hz: int = 44100,
    ):
        if controls not in CONTROL_SETS:
            raise PlantError(f"soundfont has the control set melody, not {controls!r}.")
        if program not in PROGRAMS:
            raise PlantError(f"a General MIDI program is a number in 0..127, not {program!r}.")
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            raise PlantError(
                f"soundfont plays at a whole rate of 8000 to 192000 Hz, not at {sample_rate_hz}."
            )
        if program != RHODES:
            self.name = f"soundfont-{program}"
        self.controls = CONTROL_SETS[controls]
        self.sample_rate_hz = int(sample_rate_hz)
        try:
            synth = import_module("tinysoundfont").Synth(samplerate=self.sample_rate_hz)
        except ImportError as error:
            raise PlantError(
                f"the plant soundfont needs tinysoundfont ({error}): {INSTALL}"
            ) from error
        if not isinstance(sound_font, str | Path | None):
            raise PlantError(f"a sound font is the path of a file, not {sound_font!r}.")
        path = default_sound_font() if sound_font is None else Path(sound_font)
        data = _read(path)
        try:
            font = synth.sfload(data)
        except RuntimeError as error:
            raise PlantError(
                f"{path} is no sound font that tinysoundfont can read; give an .sf2 or .sf3 file."
            ) from error
        try:
            synth.program_select(0, font, 0, int(program))
        except RuntimeError as error:
            raise PlantError(
                f"{path} has no program {program} in bank 0; choose another program or sound font."
            ) from error
        self._synth = synth

    @classmethod
    def options_of(cls, suffix: str) -> dict[str, Any] | None:
        number = int(suffix) if suffix.isdecimal() and len(suffix) <= 3 else -1
        return {"program": number} if number in PROGRAMS else None

    def note_sound(self, note: Note) -> Float[np.ndarray, " sample"]:
        self._synth.noteon(0, int(note.pitch_midi), VELOCITY)
        held = self._generate(note.offset_s - note.onset_s)
        self._synth.noteoff(0, int(note.pitch_midi))
        ringing = self._generate(self.tail_s)
        self._synth.sounds_off(0)
        self._generate(FADE_S)
        return np.concatenate([held, ringing])

    def _generate(self, duration_s: float) -> Float[np.ndarray, " sample"]:
        """Render the next `duration_s` as the mean of left and right."""
        stereo = self._synth.generate(round(duration_s * self.sample_rate_hz))
        samples = np.frombuffer(stereo, np.float32)
        return (samples[::2] + samples[1::2]) / 2


def default_sound_font() -> Path:
    """The path of TimGM6mb.sf2 in the package pretty_midi, which is not imported.

    Raises PlantError if the package is not installed or no longer contains the file.
    """
    spec = find_spec("pretty_midi")
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder) / "TimGM6mb.sf2").is_file():
            return path
    raise PlantError(
        f"the sound font TimGM6mb.sf2 was not found; it comes with pretty_midi 0.2: {INSTALL}; "
        "or give the path of another as sound_font."
    )


def _read(path: Path) -> bytes:
    """The bytes of a file; PlantError if it cannot be read or is truncated."""
    if not path.is_file():  # pipes and devices may never end
        raise PlantError(f"there is no sound font {path}; give an .sf2 or .sf3 file.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlantError(
            f"the sound font {path} cannot be read ({error.strerror}); give an .sf2 or .sf3 file."
        ) from error
    # tinysoundfont does not check: a sound font without its last table renders silence, or crashes.
    # Bytes 4 to 8 of RIFF hold the number of bytes that follow.
    if data[:4] == b"RIFF" and len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise PlantError(f"the sound font {path} is cut short; copy or download it again.")
    return data
