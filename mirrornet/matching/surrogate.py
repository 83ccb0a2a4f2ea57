"""A better patch for a recording, in the mind: knobs are moved until the decoder expects what was
heard. No render.

Gradient descent through the decoder (Adam, D. Kingma and J. Ba 2014), from the patch that was read
and from others near it, the best of which go on. How loud each note is moves along. What was read
goes on to count, since it knows of what the cochlea cannot hear: patches of such a sound.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..controls import way, within
from ..features import frame_times_s, uncompressed
from ..models.recording import SURE_ENOUGH, RecordingModel, Transcript, at_frames

STARTS = 4
APART = 0.15  # standard deviation of what is added to knobs for other starts
STEPS, TOGETHER = 50, 20  # steps, and how many of them all starts take
SEEN = 80  # frames that each step looks at, drawn by chance
RINGING_S = 0.3  # after a note's end in which it is still heard
KNOB_RATE, LEVEL_RATE = 0.2, 0.02  # of Adam at first; knobs in logits
PULL = 0.2  # towards the knobs that were read: their squared distance, as a share of variance
NEARBY = 0.02  # how far knobs are moved for slopes
EDGE = 0.02  # how close to its end a knob may start

Knobs = Float[np.ndarray, " knob"]


def imagine_transcript(
    model: RecordingModel, transcript: Transcript, heard: Float[np.ndarray, "channel=176 frame"]
) -> Transcript:
    """The transcript with better knobs; those of single notes are moved as far. `heard` is what was
    transcribed."""
    notes = [note for note in transcript.notes if note.sure >= SURE_ENOUGH]
    if not notes:
        return transcript
    rows = np.array(
        [
            (note.pitch_midi, note.onset_s, note.offset_s, note.level, 0.5 + 0.5 * note.tune)
            for note in notes
        ]
    )
    shared = model.controls.shared
    better = imagine_patch(model, rows, heard, transcript.knobs)[0]
    moved = way(shared, transcript.knobs, better)
    return replace(
        transcript,
        knobs=better,
        notes=[
            replace(note, knobs=tuple(within(shared, np.array(note.knobs) + moved).tolist()))
            for note in transcript.notes
        ],
    )


def imagine_patch(
    model: RecordingModel,
    notes: Float[np.ndarray, "note value=5"],
    heard: Float[np.ndarray, "channel=176 frame"],
    knobs: Knobs,
    keep: int = 1,
    seed: int = 0,
) -> list[Knobs]:
    """Knobs, 0..1, with which the decoder expects the notes to sound like what was `heard` while
    they are played: so many, the best first (those given, if there is nothing to hear). `notes`
    are as in `phrases.Phrases`."""
    chance = torch.Generator().manual_seed(seed)
    times_s = frame_times_s(heard.shape[-1])
    playing = np.searchsorted(notes[:, 1], times_s) > 0
    last = np.maximum.accumulate(notes[:, 2])[np.searchsorted(notes[:, 1], times_s) - 1]
    audible = np.flatnonzero(playing & (times_s < last + RINGING_S))
    if not len(audible):
        return [knobs]
    target = torch.from_numpy(uncompressed(heard[:, audible]))[None].float()
    target = target / target.mean().clamp(min=1e-6)
    variance = (torch.log1p(4 * target) / 4).var().clamp(min=1e-6)
    frame_times = torch.from_numpy(times_s[audible])[None].float()
    read = torch.from_numpy(knobs).float()
    starts = read.repeat(STARTS * keep, 1)
    starts[1:] += APART * torch.randn(starts[1:].shape, generator=chance)
    logits = torch.logit(starts.clamp(EDGE, 1 - EDGE))
    rows = torch.from_numpy(notes)[None].float()
    levels = rows[..., 3].repeat(len(starts), 1)

    def off(seen: int) -> Float[Tensor, " start"]:
        frames = torch.randint(len(audible), (1, seen), generator=chance)
        own = rows.expand(len(logits), -1, -1)
        own = torch.cat([own[..., :3], levels[..., None], own[..., 4:]], -1)
        times = frame_times.gather(1, frames).expand(len(logits), -1)
        expected = model.decoder(own, logits.sigmoid(), times)
        missed = (expected - at_frames(target, frames)).square().mean((1, 2)) / variance
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
