"""`Match`: an answer, and how it is saved."""

from pathlib import Path

from .answer import Answer


class Match(Answer):
    """The answer for one target."""

    def save(self, folder: str | Path) -> list[Path]:
        """Write every file a user wants into `folder`, which must be new or empty.

        Raises OutputError, having written nothing, if it is not or cannot be written.
        """
        from .files import save_match  # what draws takes long to load, and is not needed before

        return save_match(self, folder)
