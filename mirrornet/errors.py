"""Errors a user can act on: each message says what is wrong and what to do."""


class MirrorNetError(Exception):
    """Base of every error this package raises on purpose; the command line exits with 2."""


class AudioError(MirrorNetError):
    """A sound that cannot be used."""


class ControlError(MirrorNetError, ValueError):
    """Controls or notes that a plant must not play."""


class PlantError(MirrorNetError):
    """A plant that could not be loaded, crashed, hung, or gave sound that is not finite."""


class CheckpointError(MirrorNetError):
    """A checkpoint that is missing, damaged, or belongs to something else."""


class OutputError(MirrorNetError):
    """A place where results cannot be written."""


class CancelledError(Exception):
    """Work that was cancelled and has nothing to give; what was saved can be resumed."""
