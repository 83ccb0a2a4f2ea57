"""`Match`: an answer that can be saved."""

from pathlib import Path

from .answer import Answer


class Match(Answer):
    """The result of `match` for one target; see `Answer` for its fields."""

    def save(self, folder: str | Path) -> list[Path]:
        """Write all result files into `folder`, which must be new or empty; return their paths.

        Raises OutputError, and writes nothing, if it is neither or cannot be written.
        """
        from .files import save_match  # imported late, since plotting takes long to load

        return save_match(self, folder)

    def _repr_html_(self) -> str:
        """What a notebook shows: the sounds, the picture, the notes and the patch."""
        from .cell import cell

        return cell(self)
