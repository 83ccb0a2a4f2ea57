"""General MIDI instruments: the programs of a sound font, played through `tinysoundfont`.

A plant to be imitated: its only controls are the melody's. It is a pure function of them:

- Each note is played alone, at one velocity, and its sound is added to the others'; so the notes
  before it neither take its voices nor share them.
- What still rings when a note's sound has been taken is faded out, unheard, within 10 ms by the
  synthesizer; the next note then begins from silence, with all its voices and LFOs new.

`tinysoundfont` interpolates samples linearly and does not filter them: play at the sound font's
own rate, 44.1 kHz as a rule, and resample after, because lower rates alias.
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
FADE_S = 0.05  # in which tinysoundfont ends what it was told to stop; it takes 10 ms
# Nothing depends on pretty_midi but the sound font in it, and tinysoundfont needs PyAudio only to
# play aloud, which in turn needs the headers of PortAudio.
INSTALL = "pip install --no-deps tinysoundfont pretty_midi"


class SoundFont(NotePlant):
    """One General MIDI program, 0..127: 4 is the electric piano (Rhodes), 40 violin, 73 flute. Its
    name says which, if it is not the Rhodes.

    `sound_font` is an .sf2 or .sf3 file; TimGM6mb.sf2, out of the package pretty_midi, by default.
    Damage that leaves such a file its full length is not found and can crash tinysoundfont; a
    `Pool` outlives that.

    Raises PlantError for options that do not exist, for a file that is no sound font or has been
    cut short, and if tinysoundfont or the default sound font is missing.
    """

    name = "soundfont"
    control_sets = CONTROL_SETS
    tail_s = MELODY_S  # in a melody, a note may ring until its end

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
        """What sounds next, the mean of left and right."""
        stereo = self._synth.generate(round(duration_s * self.sample_rate_hz))
        samples = np.frombuffer(stereo, np.float32)
        return (samples[::2] + samples[1::2]) / 2


def default_sound_font() -> Path:
    """Where TimGM6mb.sf2 lies, in the package pretty_midi, which is not imported.

    Raises PlantError if it is not installed, or has the file no more.
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
    """A file's bytes; PlantError if it cannot be read or was cut short."""
    if not path.is_file():  # what is none may never end
        raise PlantError(f"there is no sound font {path}; give an .sf2 or .sf3 file.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlantError(
            f"the sound font {path} cannot be read ({error.strerror}); give an .sf2 or .sf3 file."
        ) from error
    # tinysoundfont does not look: a sound font without its last table plays silence, or crashes.
    # RIFF counts the bytes that follow in bytes 4 to 8.
    if data[:4] == b"RIFF" and len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise PlantError(f"the sound font {path} is cut short; copy or download it again.")
    return data
