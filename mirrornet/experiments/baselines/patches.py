"""Baselines that search the patch of a recording, with the same notes, excerpt and time as ours.

CMA-ES starts with all controls at 0.5. Nearest-neighbour search compares the notes' timbre in the
babble and in the recording, whatever their pitches: spectrogram windows from each note's onset on,
shifted along the channels to a common fundamental and averaged.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from ...budget import Budget
from ...features import FRAME_S
from ...matching.objective import Heard, RecordingObjective
from ...models.reader import note_windows
from ...models.salience import from_fundamental
from ...score import Note
from ...training.dataset import Phrases
from .cma_es import CmaEs
from .search import Search, Seed

Look = Float[np.ndarray, " point"]


def search_patch(objective: RecordingObjective, budget: Budget, search: Search) -> Heard:
    """Run a search until the budget is spent or its candidates end; return the best candidate."""
    played: list[Heard] = []
    while budget.left and len(asked := search.ask()):
        before = len(played)
        for row in asked:
            played.append(objective.hear(row[:, 0], budget))
            if not budget.left:
                break
        else:
            search.tell(asked, np.array([trial.error for trial in played[before:]]))
    return min(played, key=lambda trial: trial.error)


def cma_es(objective: RecordingObjective, budget: Budget, seed: Seed) -> Heard:
    """Search a patch with CMA-ES, started with all controls at 0.5."""
    return search_patch(objective, budget, CmaEs(objective.space, seed, notes=1))


class NearestPatches(Search):
    """The `patches` of the babble, in order of the distance of `looks`, its phrases, to `look`."""

    name = "nearest in the babble"

    def __init__(
        self,
        looks: Float[np.ndarray, "phrase point"],
        patches: Float[np.ndarray, "phrase row"],
        look: Look,
    ):
        distances = [np.square(one - look).sum() for one in looks]  # one by one, to save memory
        self._left = patches[np.argsort(distances, kind="stable")].astype(float)

    def ask(self) -> Float[np.ndarray, "row control note=1"]:
        asked, self._left = self._left[:1], self._left[1:]
        return asked[..., None]

    def tell(self, controls: np.ndarray, errors: np.ndarray) -> None:
        """Do nothing: the order does not depend on errors."""


def look_of(heard: Float[np.ndarray, "channel=176 frame"], notes: Sequence[Note]) -> Look:
    """Timbre features of notes in a loudness-compressed spectrogram, averaged over the notes."""
    values = [(note.pitch_midi, note.onset_s, note.offset_s) for note in notes]
    return _look(heard, np.array(values))


def looks_of(babble: Phrases) -> Float[np.ndarray, "phrase point"]:
    """Timbre features of each phrase of the babble, as `look_of` computes them."""
    looks = []
    for heard, notes in zip(babble.heard, babble.notes, strict=True):
        own = notes[~np.isnan(notes[:, 0]), :3].astype(float)
        looks.append(_look(np.log1p(4 * heard.astype(np.float32)) / 4, own))
    return np.stack(looks)


def _look(
    heard: Float[np.ndarray, "channel=176 frame"], notes: Float[np.ndarray, "note value=3"]
) -> Look:
    pitches, onsets = torch.from_numpy(notes[:, 0]), torch.from_numpy(notes[:, 1] / FRAME_S)
    ends = torch.cat([onsets[1:], torch.tensor([float(heard.shape[-1])])])
    windows = note_windows(torch.from_numpy(heard[None]), onsets[None].float(), ends[None].float())[
        0
    ]
    moved = from_fundamental(windows, pitches.float())[:, :-1]
    return moved.mean(0).flatten().numpy()
