"""How a model learns to read recordings, and to foresee them: the plant babbles phrases, and so
labels them.

No recording and no labelled music is used. Every phrase is read in disguise as well (colour,
contrast, noise, room), so that sounds from elsewhere are read, too.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..cochlea import CHANNELS
from ..features import FRAME_S, frame_times_s
from ..models.checkpoints import provenance
from ..models.recording import RecordingModel
from ..plants.pool import Farm, usable_cores
from .augment import disguise, revoice, tremble
from .phrase_sampling import babble_phrases, frame_labels
from .steps import batch_rows, descend, fast_arithmetic, on, one_cycle, pick_device, set_lr
from .trainer import Run


class Part(NamedTuple):
    """What is learned at a time."""

    name: str
    weights: list[nn.Parameter]
    epochs: float
    weight_decay: float


@dataclass(frozen=True)
class PhraseRecipe:
    """First it learns to hear notes, then to read the patch from them, then to foresee what will be
    heard; no weight serves two of these. Steps are of `batch` babbled phrases."""

    phrases: int = 8064
    note_epochs: float = 16.0
    patch_epochs: float = 40.0
    sound_epochs: float = 24.0
    batch: int = 32
    lr: float = 1.5e-3  # peaks; see `one_cycle`
    weight_decay: float = 1e-4
    patch_weight_decay: float = 0.05  # there are fewer patches than notes
    clip: float = 1.0  # largest norm of the gradient
    gain_db: float = 8.0  # standard deviation of a phrase's loudness, which a recording lacks too


PHRASE_RECIPES = {"quick": PhraseRecipe(phrases=2000), "full": PhraseRecipe()}


def learn_phrases(
    recipe: PhraseRecipe,
    farm: Farm,
    folder: str | Path,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
) -> RecordingModel:
    """Learn to read what the farm's plant babbles; babble, log, state and model go into `folder`.

    Interrupted, it goes on with `resume=True` and ends with the same weights, bit for bit on a CPU
    with as many threads (but for babble that is played again, whose last bit may differ). Raises
    OutputError if the folder cannot be used.
    """
    about = {
        "recipe": type(recipe).__name__,
        **asdict(recipe),
        "plant": farm.name,
        "control_set": farm.controls.name,
        "seed": seed,
    }
    run = Run(Path(folder), about, resume, farm.progress)
    done = run.folder / "model.json"
    if done.is_file():
        return RecordingModel.load(done)
    phrases = babble_phrases(farm, recipe.phrases, seed, run.part("babble"))
    torch.set_num_threads(usable_cores())
    to = pick_device(device)
    held = frame_labels(phrases.notes, phrases.heard.shape[-1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RecordingModel(farm.name, farm.controls).to(to).train()
    network = model.transcriber
    parts = [
        Part("notes", network.note_weights(), recipe.note_epochs, recipe.weight_decay),
        Part("patch", network.patch_weights(), recipe.patch_epochs, recipe.patch_weight_decay),
        Part("sound", [*model.decoder.parameters()], recipe.sound_epochs, recipe.weight_decay),
    ]
    adams = {p.name: torch.optim.AdamW(p.weights, weight_decay=p.weight_decay) for p in parts}
    plan = [
        (part, at, steps)
        for part in parts
        for steps in [math.ceil(part.epochs * len(phrases) / recipe.batch)]
        for at in range(steps)
    ]
    chance = torch.Generator()
    for step in run.steps("Learning", len(plan), model, adams):
        part, at, steps = plan[step]
        set_lr(adams[part.name], one_cycle(at / steps) * recipe.lr)
        rows = batch_rows(at, recipe.batch, len(phrases), seed)
        S, notes, knobs = (on(to, a[rows]) for a in (phrases.heard, phrases.notes, phrases.knobs))
        chance.manual_seed(seed * 1_000_003 + at)
        louder = 10 ** (recipe.gain_db / 20 * torch.randn(len(S), 1, 1, generator=chance).to(to))
        with torch.random.fork_rng(devices=[]), fast_arithmetic(to):
            torch.manual_seed(seed * 1_000_003 + at)  # of dropout
            if part.name == "notes":
                playing = torch.from_numpy(held[rows]).to(to)
                heard = compressed(half_disguised(S[:, :CHANNELS], notes, chance) * louder)
                loss = network.frame_loss(heard, notes, playing, FRAME_S)
            elif part.name == "patch":  # no disguise, which would hide the knobs
                heard = compressed(S[:, :CHANNELS] * louder)
                loss = network.patch_loss(heard, notes, knobs, FRAME_S, chance)
            else:
                loss = model.e_d(S, notes, knobs, chance)
        descend(loss, step, adams[part.name], clip=recipe.clip)
        if step % 20 == 0 or step == len(plan) - 1:
            run.log(step, **{part.name: loss.item()})
    model.to("cpu").eval()
    model.save(done, {"learned": about, **run.took, **provenance()})
    return model


def compressed(S: Float[Tensor, "*batch channel frame"]) -> Float[Tensor, "*batch channel frame"]:
    """Loudness-compressed, as `hearing.hear_recording` gives it, but of known mean."""
    return torch.log1p(4 * S) / 4


def half_disguised(
    S: Float[Tensor, "batch channel=128 frame"],
    notes: Float[Tensor, "batch note value=5"],
    chance: torch.Generator,
) -> Float[Tensor, "batch channel=128 frame"]:
    """The second half of the phrases in disguise, at a mean of 1 again."""
    plain = len(S) // 2
    times_s = torch.from_numpy(frame_times_s(S.shape[-1])).to(S)
    begun = (notes[plain:, :, 1, None] <= times_s).sum(1)
    pitches = notes[plain:, :, 0].gather(1, (begun - 1).clamp(min=0))
    voiced = revoice(S[plain:], pitches, chance)
    voiced = voiced / voiced.mean((1, 2), keepdim=True).clamp(min=1e-6)
    heard = compressed(tremble(voiced, chance))
    return torch.cat([S[:plain], torch.expm1(4 * disguise(heard, chance)) / 4])
