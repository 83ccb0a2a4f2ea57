"""A better patch for a recording, in the mind: knobs are moved until the decoder expects what was
heard. No render.

Gradient descent through the decoder (Adam, D. Kingma and J. Ba 2014), from the patch that was read
and from others near it, the best of which go on. How loud each note is moves along. What was read
goes on to count, since it knows of what the cochlea cannot hear: patches of such a sound.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .transcription import RecordingModel, Transcript, some_frames

STARTS = 4
APART = 0.15  # standard deviation of what is added to knobs for other starts
STEPS, TOGETHER = 50, 20  # steps, and how many of them all starts take
SEEN = 80  # frames that each step looks at, drawn by chance
KNOB_RATE, LEVEL_RATE = 0.2, 0.02  # of Adam at first; knobs in logits
PULL = 0.2  # towards the knobs that were read: their squared distance, as a share of variance
NEARBY = 0.02  # how far knobs are moved for slopes
EDGE = 0.02  # how close to its end a knob may start

Knobs = Float[np.ndarray, " knob"]


def imagine_transcript(
    model: RecordingModel, transcript: Transcript, heard: Float[np.ndarray, "channel=128 frame"]
) -> Transcript:
    """The transcript with better knobs; those of single notes are moved as far. `heard` is what was
    transcribed."""
    rows = np.array(
        [
            (note.pitch_midi, note.onset_s, note.offset_s, note.level, 0.5 + 0.5 * note.tune)
            for note in transcript.notes
        ]
    )
    better = imagine_patch(model, rows, np.expm1(4 * heard) / 4, transcript.knobs)[0]
    circular = [control.circular for control in model.controls.shared]

    def moved(own: Sequence[float]) -> tuple[float, ...]:
        knobs = np.array(own) + better - transcript.knobs
        return tuple(np.where(circular, knobs % 1, knobs.clip(0, 1)).tolist())

    moved_notes = [replace(note, knobs=moved(note.knobs)) for note in transcript.notes]
    return replace(transcript, notes=moved_notes, knobs=better)


def imagine_patch(
    model: RecordingModel,
    notes: Float[np.ndarray, "note value=5"],
    S: Float[np.ndarray, "channel=128 frame"],
    knobs: Knobs,
    keep: int = 1,
    seed: int = 0,
) -> list[Knobs]:
    """Knobs, 0..1, with which the decoder expects the notes to sound like `S` (uncompressed): so
    many, the best first. `notes` are as in `phrases.Phrases`."""
    chance = torch.Generator().manual_seed(seed)
    target = torch.from_numpy(S)[None].float()
    read = torch.from_numpy(knobs).float()
    starts = read.repeat(STARTS * keep, 1)
    starts[1:] += APART * torch.randn(starts[1:].shape, generator=chance)
    logits = torch.logit(starts.clamp(EDGE, 1 - EDGE))
    rows = torch.from_numpy(notes)[None].float()
    levels = rows[..., 3].repeat(len(starts), 1)

    def off(seen: int) -> Float[Tensor, " start"]:
        heard, times_s = some_frames(target, seen, chance)
        own = rows.expand(len(logits), -1, -1)
        own = torch.cat([own[..., :3], levels[..., None], own[..., 4:]], -1)
        expected = model.decoder(own, logits.sigmoid(), times_s.expand(len(logits), -1))
        missed = (expected - heard).square().mean((1, 2)) / heard.var()
        return missed + PULL * (logits.sigmoid() - read).square().sum(1)

    for steps in (range(TOGETHER), range(TOGETHER, STEPS)):
        places = [logits.requires_grad_(), levels.requires_grad_()]
        adams = [Adam(place) for place in places]
        for step in steps:
            slopes = torch.autograd.grad(off(SEEN).sum(), places)
            for adam, slope, rate in zip(adams, slopes, (KNOB_RATE, LEVEL_RATE), strict=True):
                adam.step(slope, rate * (1 - step / STEPS))
        with torch.no_grad():
            best = off(4 * SEEN).argsort()[:keep]
            logits, levels = logits[best], levels[best]
    return list(logits.sigmoid().double().numpy())


class Adam:
    """Moves a place down its slopes. (torch.optim's takes more than a second to be imported, longer
    than all steps here take.)"""

    def __init__(self, place: Tensor):
        self.place, self.steps = place, 0
        self.mean, self.square = torch.zeros_like(place), torch.zeros_like(place)

    @torch.no_grad()
    def step(self, slope: Tensor, rate: float) -> None:
        self.steps += 1
        self.mean.lerp_(slope, 0.1)
        self.square.lerp_(slope**2, 0.001)
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        self.place -= rate * mean / (square.sqrt() + 1e-8)


@torch.no_grad()
def patch_slopes(
    model: RecordingModel,
    notes: Float[np.ndarray, "note value=5"],
    knobs: Knobs,
    times_s: Float[np.ndarray, " frame"],
) -> Float[np.ndarray, "point knob"]:
    """How each point of what the decoder expects moves with each knob, moved towards its middle."""
    change = np.where(knobs < 0.5, NEARBY, -NEARBY)
    tries = np.concatenate([knobs[None], knobs + np.diag(change)])
    rows = torch.from_numpy(notes)[None].float().expand(len(tries), -1, -1)
    times = torch.from_numpy(times_s)[None].float().expand(len(tries), -1)
    expected = model.decoder(rows, torch.from_numpy(tries).float(), times).flatten(1)
    return ((expected[1:] - expected[0]).T.double().numpy()) / change
