"""Words for what is wrong: one line, not too long."""

import pytest

from suffuse import console
from suffuse.console import UserError, because, shown


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "file"), "No space left on device"),
        (OSError("no number"), "no number"),
        (ValueError("one\n  two\tthree"), "one two three"),
        (KeyError(), "KeyError"),
        (RuntimeError("x" * 201), "x" * 197 + "..."),
    ],
)
def test_another_librarys_words_are_one_line(error: Exception, said: str) -> None:
    assert because(error) == said


def test_a_users_value_is_a_literal_of_bounded_length() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert shown("x" * 58) == f"'{'x' * 58}'"
    assert shown("x" * 59) == f"'{'x' * 56}..."
    assert len(shown(list(range(1000)), most=20)) == 20


def test_every_public_name_is_where_it_is_said_to_be() -> None:
    for name in console.__all__:
        assert getattr(console, name) is not None
    assert set(console.__all__) == set(console._HOMES)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = console.nonsense


def test_an_error_of_a_user_is_a_value_error() -> None:
    assert issubclass(UserError, ValueError)
