"""Errors that a user can act on: each message says what is wrong and what to do."""


class MirrorNetError(Exception):
    """Base of all errors that this package raises on purpose; the command line exits with 2."""


class AudioError(MirrorNetError):
    """A sound that cannot be used."""


class ControlError(MirrorNetError, ValueError):
    """Controls, notes or options that are not allowed."""


class PlantError(MirrorNetError):
    """A plant that could not be loaded, crashed, hung, or returned invalid sound."""


class CheckpointError(MirrorNetError):
    """A checkpoint that is missing, damaged, or does not fit the plant or its controls."""


class OutputError(MirrorNetError):
    """A place where results cannot be written."""


class CancelledError(Exception):
    """Work that was cancelled and has no result; training that was saved can be resumed."""
