"""The DX7's prior: random voices as sound designers make them.

Uniform parameters are mostly noise or silence. Here frequencies are mostly harmonic, at least one
carrier plays the key, envelopes are struck or held, and scaling and modulation by the LFO are rare.

In many algorithms some operators, or pairs of them, can be swapped without a difference to the
sound. Of all such voices the prior draws one, so that what is learned from a sound is not torn
between them.
"""

from collections.abc import Sequence

import numpy as np

from ..controls import Value
from .dx7_voice import ALGORITHMS, CURVES, LFO_WAVES, OPERATORS, PARAMETERS, STAGES

# Coarse ratios and how often they are chosen; 0 is a ratio of 0.5.
RATIOS = {0: 3, 1: 30, 2: 12, 3: 10, 4: 5, 5: 4, 6: 2, 7: 3, 8: 1, 9: 2, 10: 1, 11: 1, 12: 1, 14: 2}
# Per algorithm, groups of stacks of operators that can be swapped with each other.
TWINS: dict[str, tuple[tuple[tuple[int, ...], ...], ...]] = {
    "5": (((1, 2), (3, 4)),),
    "6": (((1, 2), (3, 4)),),
    "10": (((5,), (6,)),),
    "12": (((4,), (5,), (6,)),),
    "13": (((4,), (5,)),),
    "15": (((5,), (6,)),),
    "17": (((3, 4), (5, 6)),),
    "19": (((4,), (5,)),),
    "20": (((1,), (2,)), ((5,), (6,))),
    "21": (((1,), (2,)), ((4,), (5,))),
    "22": (((3,), (4,), (5,)),),
    "23": (((4,), (5,)),),
    "24": (((1,), (2,)), ((3,), (4,), (5,))),
    "25": (((1,), (2,), (3,)), ((4,), (5,))),
    "27": (((5,), (6,)),),
    "29": (((1,), (2,)),),
    "30": (((1,), (2,), (6,)),),
    "31": (((1,), (2,), (3,), (4,)),),
    "32": (((1,), (2,), (3,), (4,), (5,)),),
}
SILENT_SHARE = 0.25  # of modulators
MANNERS = {"struck": 0.45, "held": 0.35, "any": 0.2}  # envelopes


def random_voice(
    generator: np.random.Generator, carriers: Sequence[Sequence[int]]
) -> dict[str, Value]:
    """Draw a voice. `carriers` has the operators, 1..6, that are heard, for each algorithm."""
    chance, whole = generator.random, generator.integers
    algorithm = int(whole(len(ALGORITHMS)))
    manner = str(generator.choice(list(MANNERS), p=list(MANNERS.values())))
    key_carrier = generator.choice(carriers[algorithm])  # plays the key itself
    voice: dict[str, Value] = {
        "algorithm": ALGORITHMS[algorithm],
        "feedback": int(whole(8)),
        "key_sync": True,
        "lfo_sync": True,
        "lfo_speed": int(whole(20, 60)),
        "lfo_delay": int(whole(80) * (chance() < 0.3)),
        "lfo_pitch_depth": int(whole(1, 30) * (chance() < 0.3)),
        "lfo_amp_depth": int(whole(1, 60) * (chance() < 0.2)),
        "lfo_wave": str(generator.choice(LFO_WAVES, p=(0.3, 0.05, 0.05, 0.05, 0.5, 0.05))),
        "pitch_sensitivity": int(whole(1, 5)),
        "transpose": 0,
    }
    bends = chance() < 0.08
    for n in STAGES:
        voice[f"pitch_rate{n}"] = int(whole(40, 100))
        voice[f"pitch_level{n}"] = int(whole(40, 61)) if bends and n < 3 else 50
    for number in OPERATORS:
        carrier = number in carriers[algorithm]
        voice |= {
            f"op{number}_{name}": value
            for name, value in _operator(generator, carrier, number == key_carrier, manner).items()
        }
    return in_order(voice)


def in_order(voice: dict[str, Value]) -> dict[str, Value]:
    """The voice with operators that can be swapped in the order of their frequencies, then of their
    output levels, the loudest first. It sounds the same."""
    ordered = dict(voice)
    for stacks in TWINS.get(str(voice["algorithm"]), ()):
        by_rank = sorted(stacks, key=lambda stack: [_rank(voice, number) for number in stack])
        for stack, source in zip(stacks, by_rank, strict=True):
            for number, other in zip(stack, source, strict=True):
                ordered |= {f"op{number}_{name}": voice[f"op{other}_{name}"] for name in PARAMETERS}
    return ordered


def _rank(voice: dict[str, Value], number: int) -> tuple[Value, ...]:
    first = ("mode", "coarse", "fine", "output", "detune")
    rest = (name for name in PARAMETERS if name not in first)
    mode, coarse, fine, output, detune = (voice[f"op{number}_{name}"] for name in first)
    others = (voice[f"op{number}_{name}"] for name in rest)
    return str(mode) == "fixed", coarse, fine, -int(output), detune, *others


def _operator(
    generator: np.random.Generator, carrier: bool, plays_key: bool, manner: str
) -> dict[str, Value]:
    chance, whole = generator.random, generator.integers
    odds = np.array(list(RATIOS.values())) / sum(RATIOS.values())
    output = int(whole(85, 100)) if carrier else int(whole(30, 96))
    if not carrier and chance() < SILENT_SHARE:
        output = 0
    scaled = chance() < 0.3
    return {
        **_envelope(generator, carrier, manner),
        "breakpoint": int(whole(20, 60)),
        "left_depth": int(whole(1, 40) * (scaled and chance() < 0.4)),
        "right_depth": int(whole(1, 60) * scaled),
        "left_curve": str(generator.choice(CURVES)),
        "right_curve": str(generator.choice(CURVES[:2])),
        "rate_scaling": int(whole(0, 4)),
        "amp_sensitivity": int(whole(1, 4) * (chance() < 0.2)),
        "velocity_sensitivity": int(whole(0, 8) if chance() < 0.6 else 0),
        "output": output,
        "mode": "fixed" if chance() < 0.04 and not plays_key else "ratio",
        "coarse": 1 if plays_key else int(generator.choice(list(RATIOS), p=odds)),
        "fine": int(whole(1, 100) * (chance() < 0.1 and not plays_key)),
        "detune": int(np.clip(np.rint(2 * generator.standard_normal()), -7, 7)),
    }


def _envelope(generator: np.random.Generator, carrier: bool, manner: str) -> dict[str, Value]:
    """Rates and levels. A carrier starts and ends in silence; a modulator may go on."""
    whole = generator.integers
    rates = [whole(50, 100), whole(15, 90), whole(10, 80), whole(35, 90)]
    levels = [99, whole(50, 100), whole(0, 100), 0]
    if manner == "struck":
        rates[0], levels[2] = whole(75, 100), 0 if carrier else whole(0, 60)
    elif manner == "held":
        levels[1], levels[2] = whole(75, 100), whole(70, 100)
    names = [f"{key}{n}" for key in ("rate", "level") for n in STAGES]
    return {name: int(value) for name, value in zip(names, (*rates, *levels), strict=True)}
