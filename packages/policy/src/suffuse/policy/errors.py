"""The package's own errors, each a builtin ValueError too; the command line turns each into exit 2."""

from suffuse.console import UserError


class PolicyError(UserError):
    """Anything wrong with what a user gave: one sentence that names the file, the field, the value and the limit."""


class DataError(PolicyError):
    """Demonstrations that cannot be read, written or learned from."""


class ObservationError(PolicyError):
    """An observation that does not fit the policy: a key is missing, a shape is wrong, a value is not finite."""


class ActionError(PolicyError):
    """An action that no robot should be sent: not finite, or outside its bounds where that is refused."""


class ModelError(PolicyError):
    """A model directory that cannot be read, or does not fit the task."""


class TaskError(PolicyError):
    """A simulated task that is unknown or not installed."""


class ServeError(PolicyError):
    """A request that a server does not answer, or a server that does not answer a request."""
