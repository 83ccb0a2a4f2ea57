"""The paper's three experiments and their variants: the plant that plays the targets, and the
control set that the model learns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import MirrorNetError
from ..plants import Plant, load_plant
from ..plants.pool import Pool
from ..plants.vital import PAPER_RANGES

TARGETS, HELD_OUT = 400, 80


@dataclass(frozen=True)
class Setting:
    """One variant of an experiment."""

    experiment: int
    variant: str
    what: str
    target_plant: str
    target_options: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Ranges that the targets' controls are drawn from; 0..1 for controls that are not named."""
    plant: str = "vital"
    """The plant that the model learns."""
    controls: str = "set1"
    """The control set of that plant."""

    @property
    def name(self) -> str:
        return f"experiment-{self.experiment}-{self.variant}"

    def target_pool(self, **options: Any) -> Pool:
        """Start a pool that plays the targets; `options` are those of `Pool`."""
        return Pool(self.target_plant, **self.target_options, **options)

    def plants(self, sample_rate_hz: int) -> tuple[Plant, Plant]:
        """Load the plant that plays the targets, then the one that the model learns."""
        return (
            load_plant(self.target_plant, **self.target_options, sample_rate_hz=sample_rate_hz),
            load_plant(self.plant, controls=self.controls, sample_rate_hz=sample_rate_hz),
        )


def _instrument(variant: str, program: int, what: str) -> Setting:
    what = f"General MIDI {program} ({what}) of TimGM6mb, played with seven controls"
    return Setting(3, variant, what, "soundfont", {"program": program})


SET1, SET2 = {"controls": "set1"}, {"controls": "set2"}


def _own(plant: str, controls: str) -> Setting:
    what = f"melodies of {plant} itself, seven controls"
    return Setting(1, plant, what, plant, {"controls": controls}, plant=plant, controls=controls)


SETTINGS: tuple[Setting, ...] = (
    Setting(1, "own", "the synthesizer's own melodies, seven controls", "vital", SET1),
    _own("dx7", "pair"),
    _own("amsynth", "melody"),
    _own("faust-subtractive", "melody"),
    Setting(2, "ten", "ten controls, all ten learned", "vital", SET2, controls="set2"),
    Setting(2, "seven", "ten controls, only the first seven learned", "vital", SET2),
    Setting(
        2,
        "ten-paper",
        "ten controls in the paper's ranges",
        "vital",
        SET2,
        PAPER_RANGES,
        controls="set2",
    ),
    Setting(2, "seven-paper", "the same, only seven learned", "vital", SET2, PAPER_RANGES),
    _instrument("rhodes", 4, "Fender Rhodes"),
    _instrument("strings", 48, "string ensemble"),
    _instrument("flute", 73, "flute"),
    _instrument("organ", 20, "reed organ"),
    _instrument("trumpet", 56, "trumpet"),
    _instrument("guitar", 24, "nylon guitar"),
)


def find_setting(experiment: int, variant: str | None = None) -> Setting:
    """Return a variant of an experiment, by default the first.

    Raises MirrorNetError if there is no such experiment or variant.
    """
    variants = {s.variant: s for s in SETTINGS if s.experiment == experiment}
    if not variants:
        numbers = sorted({s.experiment for s in SETTINGS})
        raise MirrorNetError(f"there are the experiments {numbers}, not {experiment}.")
    if variant is None:
        return next(iter(variants.values()))
    if variant not in variants:
        raise MirrorNetError(
            f"experiment {experiment} has the variants {', '.join(variants)}, not {variant}."
        )
    return variants[variant]
