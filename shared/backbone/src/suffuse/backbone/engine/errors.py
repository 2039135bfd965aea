"""What can be wrong with a session."""


class ShortcutError(ValueError):
    """Shortcuts that do not fit the model, each other or the budget."""


class SessionError(RuntimeError):
    """A session that is used where it cannot be: by two threads at a time, or twice on one model."""
