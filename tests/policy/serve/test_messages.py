"""Messages: bytes there and back, and what makes no sense."""

import re
from pathlib import Path

import numpy as np
import pytest

from suffuse.policy import serve
from suffuse.policy.errors import ServeError
from suffuse.policy.serve.messages import FIELDS, MESSAGES, Kind, from_array, parse, to_array


@pytest.mark.parametrize(
    "values",
    [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 3)), np.array(True), np.uint8([[1, 255]])],
)
def test_arrays_go_there_and_back(values: np.ndarray) -> None:
    back = to_array(parse("Array", from_array(values).SerializeToString()), "it")
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "object"}, "it is of type 'object'; it must be one of float32"),
        ({"shape": [2, 4]}, r"it has 24 bytes; its shape \(2, 4\) needs 32"),
        ({"shape": [-2, -3]}, "none below 0"),
        ({"shape": [2**40, 2**40]}, "24 bytes"),
        ({"shape": [1] * 9}, "at most 8 axes"),
    ],
)
def test_arrays_that_are_none(change: dict, said: str) -> None:
    fields = {"type": "float32", "shape": [2, 3], "data": bytes(24)}
    with pytest.raises(ServeError, match=said):
        to_array(MESSAGES["Array"](**{**fields, **change}), "it")


def test_what_does_not_travel() -> None:
    with pytest.raises(ServeError, match="numbers are int64; they must be one of"):
        from_array(np.array([1]))
    with pytest.raises(ServeError, match="bytes are no ChunkRequest"):
        parse("ChunkRequest", b"\xff\xff\xff")


def test_the_messages_are_those_of_the_proto_file() -> None:
    """Names, numbers, types and repetition of all fields."""
    text = (Path(serve.__file__).parent / "policy.proto").read_text()
    words = {Kind.TYPE_STRING: "string", Kind.TYPE_INT64: "int64", Kind.TYPE_BYTES: "bytes", Kind.TYPE_UINT64: "uint64",
             Kind.TYPE_BOOL: "bool", Kind.TYPE_UINT32: "uint32", Kind.TYPE_DOUBLE: "double"}  # fmt: skip
    written = {}
    for title, body in re.findall(r"message (\w+) \{(.*?)\}", text, re.S):
        written[title] = re.findall(r"^\s*(repeated )?(\w+) (\w+) = (\d+);", body, re.M)
    for title, found in written.items():
        expected = [
            ("repeated " if repeated else "", words.get(kind, of), name, str(number))
            for number, (name, kind, of, repeated) in enumerate(FIELDS[title], start=1)
        ]
        assert found == expected, title
    assert set(written) == {title for title in FIELDS if "Health" not in title}
