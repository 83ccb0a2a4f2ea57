"""Fine-tuning of a model for recordings on recordings without labels.

The model is already trained on the plant. In each round the plant renders what the model reads from
excerpts, with small random changes. From these renders the encoder learns to read the patch, and
the decoder to predict the sound (e_d); from the excerpts themselves the encoder learns through the
decoder (e_c). The notes are those that the note finder finds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ..cochlea import CHANNELS
from ..controls import within
from ..errors import AudioError
from ..features import FRAME_S, uncompressed
from ..matching.surrogate import note_values
from ..matching.transcribe import CONFIDENT, Transcript, transcribe
from ..models.mirrornet import MirrorNet
from ..models.notes import shipped_finder
from ..models.recording import read_patch
from ..plants.base import PITCHES_MIDI
from ..plants.pool import Pool
from ..plants.prior import PHRASE_S, SHORTEST_NOTE_S
from ..score import OFFSET_VALUE, ONSET_VALUE, PITCH_VALUE, Score, from_arrays
from .babble import compressed
from .dataset import MOST_NOTES, SOFTEST, Phrases, babble_phrases, hear_scores
from .steps import batch_rows, fast_arithmetic, on, one_cycle, set_lr
from .trainer import STEP_SEEDS, Losses, Run, fit, train

ATTEMPTS = 13  # random stream of attempts, distinct from that of babble
AT_ONCE = 32  # excerpts that are read in a batch
FRAMES = round(PHRASE_S / FRAME_S)

Heard = Float[np.ndarray, "channel=176 frame"]


@dataclass(frozen=True)
class FineTuningRecipe:
    """Each step uses `batch` labelled phrases, half attempts and half babble, and `batch_e_c`
    excerpts. (An attempt is the render of what was read from an excerpt.)"""

    phrases: int = 512  # of babble, against forgetting
    rounds: int = 4  # of rendering what is read
    round_steps: int = 60
    most_excerpts: int = 256
    batch: int = 16
    batch_e_c: int = 8
    weight_e_c: float = 1.0
    spread: float = 0.08  # standard deviation of random changes of patch rows, for exploration
    lr: float = 5e-4  # peak; see `one_cycle`
    weight_decay: float = 1e-4
    clip: float = 1.0  # largest norm of a gradient
    gain_db: float = 8.0  # standard deviation of a random gain, as in `PhraseRecipe`


@dataclass(frozen=True)
class Excerpts:
    """Excerpts of recordings, up to `PHRASE_S` each, and the notes read from them."""

    notes: Float[np.ndarray, "excerpt note=40 value"]
    """As in `Phrases`, but all levels are 1."""
    heard: Float[np.ndarray, "excerpt channel=176 frame=500"]
    """Uncompressed, at the level it has in its recording; zeros beyond its end."""
    ends: Float[np.ndarray, " excerpt"]
    """The end of each, in frames."""

    def __len__(self) -> int:
        return len(self.notes)


def fine_tune(
    recipe: FineTuningRecipe,
    model: MirrorNet,
    pool: Pool,
    excerpts: Excerpts,
    folder: str | Path,
    about: Mapping[str, Any],
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
) -> MirrorNet:
    """Fine-tune a copy of `model` on excerpts of recordings, and return it.

    Args:
        recipe: the number of rounds and steps, and so on.
        model: for recordings, trained on the pool's plant; it is not changed.
        pool: workers that render.
        excerpts: see `cut`.
        folder: for attempts, babble, log, state and the new model.
        about: JSON-ready; identifies the recordings.
        seed: of babble, attempts and batches.
        resume: continue an interrupted run.
        device: see `pick_device`.

    Raises OutputError if the folder cannot be used, MirrorNetError if a loss is not finite.
    """
    about = {
        "recipe": type(recipe).__name__,
        **asdict(recipe),
        "plant": pool.name,
        "control_set": pool.controls.name,
        **about,
        "start_sha256": model.fingerprint,
        "notes_by_sha256": shipped_finder().fingerprint,
        "seed": seed,
    }

    def make() -> MirrorNet:
        learned = MirrorNet(model.plant, model.controls, "recording")
        learned.load_state_dict(model.state_dict())
        return learned

    def by_recipe(run: Run, learned: MirrorNet) -> None:
        babble = babble_phrases(pool, recipe.phrases, seed, run.part("babble"))
        _listen(run, recipe, learned, pool, excerpts, babble, seed)

    how = {"seed": seed, "resume": resume, "device": device, "progress": pool.progress}
    return train(folder, about, make, by_recipe, **how)


def _listen(
    run: Run,
    recipe: FineTuningRecipe,
    model: MirrorNet,
    pool: Pool,
    excerpts: Excerpts,
    babble: Phrases,
    seed: int,
) -> None:
    """Train in rounds: render what is read; then the loss of patches, e_d and e_c."""
    to = next(model.parameters()).device
    weights = [*model.encoder.patch_weights(), *model.decoder.parameters()]
    adam = torch.optim.AdamW(weights, recipe.lr, weight_decay=recipe.weight_decay)
    attempts: list[Phrases] = []
    chance = torch.Generator()
    half, steps = recipe.batch // 2, recipe.rounds * recipe.round_steps

    def losses(step: int) -> Losses:
        while len(attempts) <= step // recipe.round_steps:
            attempts.append(_attempt(run, recipe, model, pool, excerpts, len(attempts), seed))
        set_lr(adam, recipe.lr * one_cycle(step / steps))
        tried = sum(len(one) for one in attempts)
        parts = [_rows([babble], batch_rows(step, half, len(babble), seed))]
        if tried:  # all attempts may be silent
            parts.append(_rows(attempts, batch_rows(step, recipe.batch - half, tried, seed)))
        S, notes, patches = (on(to, np.concatenate(part)) for part in zip(*parts, strict=True))
        rows = batch_rows(step, recipe.batch_e_c, len(excerpts), seed + 1)
        targets, read, ends = (
            on(to, part[rows]) for part in (excerpts.heard, excerpts.notes, excerpts.ends)
        )
        chance.manual_seed(seed * STEP_SEEDS + step)
        louder = 10 ** (recipe.gain_db / 20 * torch.randn(len(S), 1, 1, generator=chance).to(to))
        with fast_arithmetic(to):
            heard = compressed(S[:, :CHANNELS] * louder)
            found = {
                "patch": model.encoder.patch_loss(heard, notes, patches, FRAME_S, chance),
                "e_d": model.e_d((notes, patches), S, chance),
                "e_c": model.e_c(targets, read, ends, chance),
            }
            total = found["patch"] + found["e_d"] + recipe.weight_e_c * found["e_c"]
        return Losses(total, found)

    how = {"seed": seed, "clip": recipe.clip, "log_every": 5}
    for _ in fit(run, "Listening", steps, model, {"adam": adam}, losses, **how):
        pass


def cut(model: MirrorNet, recordings: Iterable[Heard], most: int, seed: int = 0) -> Excerpts:
    """Cut recordings into excerpts, each starting with a note, and read their notes. Of more than
    `most` excerpts a random choice is kept. Recordings are as from `features.hear_recording`.

    Raises AudioError if no notes are detected.
    """
    chance = np.random.default_rng(seed)
    found: list[tuple[float, tuple[np.ndarray, np.ndarray, np.ndarray]]] = []
    for heard in recordings:
        # At most `most` are held in memory, however long the recordings are.
        found += [
            (chance.random(), one)
            for one in _cut(model, transcribe(model, heard), uncompressed(heard))
        ]
        found = sorted(found, key=lambda drawn: drawn[0])[:most]
    if not found:
        raise AudioError("no notes were heard in the recordings; give some of one voice at a time.")
    parts = zip(*(one for _, one in found), strict=True)
    return Excerpts(*(np.stack(part) for part in parts))


def _cut(
    model: MirrorNet, transcript: Transcript, S: Heard
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    found, notes = [], [note for note in transcript.notes if note.confidence >= CONFIDENT]
    while notes:
        # One frame before the note; a shift by whole frames keeps onsets' positions within frames.
        start = max(int(notes[0].onset_s / FRAME_S) - 1, 0)
        end = min(start + FRAMES, S.shape[-1])
        inside = [n for n in notes if n.onset_s < end * FRAME_S - SHORTEST_NOTE_S][:MOST_NOTES]
        inside = inside or notes[:1]
        notes = notes[len(inside) :]
        if notes:  # the next note's sound belongs to no note of this excerpt
            end = min(end, int(notes[0].onset_s / FRAME_S))
        values = note_values(model, inside)
        times = slice(ONSET_VALUE, OFFSET_VALUE + 1)
        values[:, times] = np.minimum(values[:, times], end * FRAME_S) - start * FRAME_S
        if (level := model.decoder.columns.level) is not None:
            values[:, level] = 1.0
        rows = np.full((MOST_NOTES, values.shape[1]), np.nan, np.float32)
        rows[: len(inside)] = values
        heard = np.zeros((len(S), FRAMES), np.float32)
        heard[:, : end - start] = S[:, start:end]
        if heard.mean() > SOFTEST:
            found.append((rows, heard, np.array(end - start, np.float32)))
    return found


def _attempt(
    run: Run,
    recipe: FineTuningRecipe,
    model: MirrorNet,
    pool: Pool,
    excerpts: Excerpts,
    number: int,
    seed: int,
) -> Phrases:
    """Render what is read from the excerpts, with random changes of the patches."""
    notes, patches = read_all(model, excerpts)
    chance = np.random.default_rng((seed, number, ATTEMPTS))
    patches = patches + chance.normal(0, recipe.spread, patches.shape)
    patches = within(pool.controls.patch.rows, patches)
    notes[..., PITCH_VALUE] -= pool.transposition
    keys = notes[..., PITCH_VALUE]
    notes[(keys < PITCHES_MIDI[0]) | (keys > PITCHES_MIDI[-1])] = np.nan  # no such keys

    def scores(some: range) -> list[Score]:
        return [from_arrays(pool.controls, notes[row], patches[row]) for row in some]

    folder = run.part(f"round-{number:02d}")
    return hear_scores(pool, scores, range(len(notes)), folder, f"Round {number + 1}")


@torch.inference_mode()
def read_all(
    model: MirrorNet, excerpts: Excerpts
) -> tuple[Float[np.ndarray, "excerpt note value"], Float[np.ndarray, "excerpt row"]]:
    """Read all excerpts: notes with levels and controls (see `read_patch`), and patches."""
    learning, to = model.training, next(model.parameters()).device
    model.eval()
    parts = []
    for start in range(0, len(excerpts), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        places = on(to, excerpts.heard[some]), on(to, excerpts.notes[some])
        read = read_patch(model.encoder, *places)
        parts.append([part.cpu().numpy() for part in read])
    model.train(learning)
    notes, patches = (np.concatenate(part) for part in zip(*parts, strict=True))
    return notes, patches


def _rows(parts: Sequence[Phrases], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectrograms, notes and patches of `rows`, counted through all `parts`."""
    ends = np.cumsum([len(part) for part in parts])
    of = np.searchsorted(ends, rows, side="right")
    chosen = [(parts[n], row - (ends[n] - len(parts[n]))) for n, row in zip(of, rows, strict=True)]
    return (
        np.stack([part.heard[at] for part, at in chosen]),
        np.stack([part.notes[at] for part, at in chosen]),
        np.stack([part.patches[at] for part, at in chosen]),
    )
