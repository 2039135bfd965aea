"""The package's own errors, each a builtin ValueError too; the command line turns each into exit 2."""


def because(error: BaseException) -> str:
    """What another library said went wrong, on one line of at most 200 characters, to end a sentence with."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    said = " ".join(text.split()) or type(error).__name__
    return said if len(said) <= 200 else f"{said[:197]}..."


def shown(value: object, most: int = 60) -> str:
    """What a file or a user said, as a Python literal on one line, cut short if it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


class TrajectoryError(ValueError):
    """Anything wrong with what a user gave: one sentence that names the file, the field, the value and the limit."""


class RoadNetworkError(TrajectoryError):
    """A road network that cannot be used: no geometry, no CRS, empty, broken references."""


class TripError(TrajectoryError):
    """A trip that does not fit its road network: unknown segment, illegal transition, times out of order."""


class RequestError(TrajectoryError):
    """An origin-destination request that cannot be met: unknown place, unreachable destination, bad departure."""


class ModelError(TrajectoryError):
    """A model directory that cannot be read, or does not fit the task."""
