"""What can go wrong in a training run, apart from plain bad values (`ValueError`)."""


class TrainError(ValueError):
    """A training run cannot start or go on; the message is one sentence meant for the user."""


class DirectoryInUseError(TrainError):
    """Another process is writing in the run directory."""


class CheckpointError(TrainError):
    """A checkpoint is incomplete, damaged, or belongs to another model."""


class DivergedError(TrainError):
    """The loss or the gradient became NaN or infinite."""
