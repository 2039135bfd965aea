"""The package's own errors, each a builtin ValueError too; the command line turns each into exit 2."""

from suffuse.console import UserError


class TrajectoryError(UserError):
    """Anything wrong with what a user gave: one sentence that names the file, the field, the value and the limit."""


class RoadNetworkError(TrajectoryError):
    """A road network that cannot be used: no geometry, no CRS, empty, broken references."""


class TripError(TrajectoryError):
    """A trip that does not fit its road network: unknown segment, illegal transition, times out of order."""


class RequestError(TrajectoryError):
    """An origin-destination request that cannot be met: unknown place, unreachable destination, bad departure."""


class ModelError(TrajectoryError):
    """A model directory that cannot be read, or does not fit the task."""
