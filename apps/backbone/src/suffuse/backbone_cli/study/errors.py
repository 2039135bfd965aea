"""What can be wrong with the study: its data, its weights, its settings."""

from suffuse.console import UserError


class StudyError(UserError):
    """One sentence that says what is wrong and what is allowed."""
