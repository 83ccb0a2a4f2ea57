"""Encoding of rows of controls for networks: numbers unchanged, phases as points on a circle,
choices and switches as classes."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..controls import Control, ControlSpace
from ..score import TIMES


class RowCode:
    """Encoding of given rows.

    The output of an encoder has `values` elements: the numbers, 0..1, a circular one as the x
    coordinate of a point on a circle around (0.5, 0.5); then the y coordinates of these; then the
    class logits of choices and switches. The input of a decoder has `inputs` elements: the numbers,
    -1..1, and the classes one-hot.
    """

    def __init__(self, rows: Sequence[Control]):
        kinds = ("choice", "switch")
        self.rows = len(rows)
        self.numbers = [n for n, control in enumerate(rows) if control.kind not in kinds]
        self.circular = [n for n, row in enumerate(self.numbers) if rows[row].circular]
        self.classes = [(n, c.steps or 2) for n, c in enumerate(rows) if c.kind in kinds]
        self.measured = len(self.numbers) + len(self.circular)
        """How many of the values are numbers, not logits."""
        self.values = self.measured + sum(count for _, count in self.classes)
        self.inputs = len(self.numbers) + sum(count for _, count in self.classes)

    def measures(self, rows: Float[Tensor, "batch row"]) -> Float[Tensor, "batch measure"]:
        """Encode the rows that are numbers as values."""
        numbers = rows[:, self.numbers]
        turns = 2 * torch.pi * numbers[:, self.circular]
        numbers[:, self.circular] = 0.5 + 0.5 * turns.cos()
        return torch.cat([numbers, 0.5 + 0.5 * turns.sin()], 1)

    def rows_of(self, values: Float[Tensor, "batch value"]) -> Float[Tensor, "batch row"]:
        """Decode values to rows, with the most likely class of each choice and switch."""
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
        """The logits of each choice or switch, `(batch, class, *note)`."""
        counts = [count for _, count in self.classes]
        return list(values[:, self.measured :].split(counts, 1)) if counts else []

    def input(self, rows: Float[Tensor, "*batch row"]) -> Float[Tensor, "*batch input"]:
        """Encode rows as the input of a decoder."""
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
        """Cross entropy of the true classes, summed over choices and switches."""
        loss = values.new_zeros(())
        for (row, count), logits in zip(self.classes, self.logits(values), strict=True):
            loss = loss + F.cross_entropy(logits, (rows[:, row] * (count - 1)).round().long())
        return loss


class NoteColumns:
    """Columns of a note's values (`score.ScoreArrays`) by role; None for a missing role."""

    def __init__(self, space: ControlSpace):
        own = space.own
        columns = {role: own.of_role(role) for role in ("level", "tune")}
        at = {role: TIMES + own.row(c.name) if c else None for role, c in columns.items()}
        self.level, self.tune = at["level"], at["tune"]
        self.others = [TIMES + n for n, c in enumerate(own.rows) if c.role not in ("level", "tune")]
        self.code = RowCode([own.rows[n - TIMES] for n in self.others])

    def tunes(self, notes: Float[Tensor, "batch note value"]) -> Float[Tensor, "batch note"]:
        """Tunes, 0..1; 0.5 (in tune) for a plant without this control."""
        tuned = torch.full_like(notes[..., 0], 0.5)
        return tuned if self.tune is None else notes[..., self.tune]
