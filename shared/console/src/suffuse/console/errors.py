"""What the user can put right, and the words for it."""

WRONG_INPUT = 2
"""Exit code where the input is at fault."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as any shell has it: 128 and the number of the signal."""


class UserError(ValueError):
    """Anything wrong with what a user gave: one sentence that names the file, the field, the value and the limit."""


def because(error: BaseException) -> str:
    """What another library said went wrong, on one line of at most 200 characters, to end a sentence with."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    said = " ".join(text.split()) or type(error).__name__
    return said if len(said) <= 200 else f"{said[:197]}..."


def shown(value: object, most: int = 60) -> str:
    """What a file or a user said, as a Python literal on one line, cut short if it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
