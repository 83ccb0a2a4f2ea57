"""How networks see rows of controls: numbers as they are, phases as points on a circle, and choices
as classes."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..controls import Control, ControlSpace
from ..score import TIMES


class RowCode:
    """The code of some rows.

    As an encoder reads them, `values`: the numbers, 0..1, a circular one as the first coordinate of
    a point around (0.5, 0.5); then the second coordinates of these; then the logits of the classes
    of choices and switches. As a decoder is given them, `inputs`: the numbers, -1..1, and the
    classes one-hot.
    """

    def __init__(self, rows: Sequence[Control]):
        kinds = ("choice", "switch")
        self.rows = len(rows)
        self.numbers = [n for n, control in enumerate(rows) if control.kind not in kinds]
        self.circular = [n for n, row in enumerate(self.numbers) if rows[row].circular]
        self.classes = [(n, c.steps or 2) for n, c in enumerate(rows) if c.kind in kinds]
        self.measured = len(self.numbers) + len(self.circular)
        """Values that are numbers."""
        self.values = self.measured + sum(count for _, count in self.classes)
        self.inputs = len(self.numbers) + sum(count for _, count in self.classes)

    def measures(self, rows: Float[Tensor, "batch row"]) -> Float[Tensor, "batch measure"]:
        """The values of rows that are numbers."""
        numbers = rows[:, self.numbers]
        turns = 2 * torch.pi * numbers[:, self.circular]
        numbers[:, self.circular] = 0.5 + 0.5 * turns.cos()
        return torch.cat([numbers, 0.5 + 0.5 * turns.sin()], 1)

    def rows_of(self, values: Float[Tensor, "batch value"]) -> Float[Tensor, "batch row"]:
        """The rows that values stand for: of classes the likeliest."""
        numbers = values[:, : len(self.numbers)].clone()
        x = values[:, self.circular] - 0.5
        y = values[:, len(self.numbers) : self.measured] - 0.5
        numbers[:, self.circular] = torch.atan2(y, x) / (2 * torch.pi) % 1
        rows = values.new_zeros(len(values), self.rows)
        rows[:, self.numbers] = numbers
        for (row, count), logits in zip(self.classes, self.logits(values), strict=True):
            rows[:, row] = logits.argmax(1).to(rows) / (count - 1)
        return rows

    def logits(self, values: Float[Tensor, "batch value *note"]) -> list[Tensor]:
        """Of each choice or switch, `(batch, class, *note)`."""
        counts = [count for _, count in self.classes]
        return list(values[:, self.measured :].split(counts, 1)) if counts else []

    def input(self, rows: Float[Tensor, "*batch row"]) -> Float[Tensor, "*batch input"]:
        """What a decoder is given of rows."""
        if not self.classes:
            return 2 * rows - 1
        parts = [2 * rows[..., self.numbers] - 1]
        for row, count in self.classes:
            steps = (rows[..., row] * (count - 1)).round().long().clamp(0, count - 1)
            parts.append(F.one_hot(steps, count).to(rows))
        return torch.cat(parts, -1)

    def class_loss(
        self, values: Float[Tensor, "batch value"], rows: Float[Tensor, "batch row"]
    ) -> Float[Tensor, ""]:
        """How unlikely the true classes are held to be: the sum over choices of cross entropy."""
        loss = values.new_zeros(())
        for (row, count), logits in zip(self.classes, self.logits(values), strict=True):
            loss = loss + F.cross_entropy(logits, (rows[:, row] * (count - 1)).round().long())
        return loss


class NoteColumns:
    """Which column of a note's values (see `score.ScoreArrays`) holds what."""

    def __init__(self, space: ControlSpace):
        own = space.own
        columns = {role: own.of_role(role) for role in ("level", "tune")}
        at = {role: TIMES + own.row(c.name) if c else None for role, c in columns.items()}
        self.level, self.tune = at["level"], at["tune"]
        self.others = [TIMES + n for n, c in enumerate(own.rows) if c.role not in ("level", "tune")]
        self.code = RowCode([own.rows[n - TIMES] for n in self.others])

    def tunes(self, notes: Float[Tensor, "batch note value"]) -> Float[Tensor, "batch note"]:
        """0..1; in tune for a plant without."""
        tuned = torch.full_like(notes[..., 0], 0.5)
        return tuned if self.tune is None else notes[..., self.tune]
