"""What server and clients say to each other: the messages of `policy.proto`, and arrays in and out of them.

The messages are built from their description here, so that no protobuf compiler is needed; the bytes are protobuf's.
"""

from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from jaxtyping import Shaped

from suffuse.policy.errors import ServeError

SERVICE = "suffuse.policy.Policy"
HEALTH = "grpc.health.v1.Health"
TYPES = {"float32": "<f4", "float64": "<f8", "uint8": "u1", "bool": "?"}
"""Types of numbers that may travel, with their bytes."""

Kind = descriptor_pb2.FieldDescriptorProto
FIELDS: dict[str, list[tuple[str, Any, str, bool]]] = {
    "Empty": [],
    "Description": [("config", Kind.TYPE_STRING, "", False)],
    "Array": [
        ("type", Kind.TYPE_STRING, "", False), ("shape", Kind.TYPE_INT64, "", True),
        ("data", Kind.TYPE_BYTES, "", False),
    ],
    "Named": [("name", Kind.TYPE_STRING, "", False), ("values", Kind.TYPE_MESSAGE, "Array", False)],
    "ChunkRequest": [
        ("client", Kind.TYPE_STRING, "", False), ("seed", Kind.TYPE_UINT64, "", False),
        ("begin", Kind.TYPE_BOOL, "", False), ("observations", Kind.TYPE_MESSAGE, "Named", True),
        ("planned", Kind.TYPE_MESSAGE, "Array", False), ("fixed", Kind.TYPE_UINT32, "", False),
    ],
    "ChunkReply": [
        ("actions", Kind.TYPE_MESSAGE, "Array", False), ("clamped", Kind.TYPE_MESSAGE, "Array", False),
        ("queue_ms", Kind.TYPE_DOUBLE, "", False), ("compute_ms", Kind.TYPE_DOUBLE, "", False),
        ("batch", Kind.TYPE_UINT32, "", False),
    ],
    "HealthCheckRequest": [("service", Kind.TYPE_STRING, "", False)],
    "HealthCheckResponse": [("status", Kind.TYPE_INT32, "", False)],
}  # fmt: skip
"""Every message: the name, kind and (for messages) type of its fields in order of their numbers, and whether repeated.

The last two are those of gRPC's health protocol; an enumeration and an int32 have the same bytes."""


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="suffuse/policy.proto", package="suffuse.policy", syntax="proto3")
    for title, fields in FIELDS.items():
        message = file.message_type.add(name=title)
        for number, (name, kind, of, repeated) in enumerate(fields, start=1):
            label = Kind.LABEL_REPEATED if repeated else Kind.LABEL_OPTIONAL
            type_name = f".suffuse.policy.{of}" if of else None
            message.field.add(name=name, number=number, type=kind, type_name=type_name, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        title: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"suffuse.policy.{title}"))
        for title in FIELDS
    }


MESSAGES = _build()
"""The classes of the messages, by name."""


def parse(title: str, data: bytes) -> Any:
    """A message from its bytes. Raises ServeError for bytes that are none."""
    try:
        return MESSAGES[title].FromString(data)
    except DecodeError:
        raise ServeError(f"{len(data)} bytes are no {title}") from None


def to_array(message: Any, what: str) -> Shaped[np.ndarray, "..."]:
    """The numbers of an `Array`. Raises ServeError where type, shape and bytes do not agree."""
    if message.type not in TYPES:
        raise ServeError(f"{what} is of type {message.type[:40]!r}; it must be one of {', '.join(TYPES)}")
    kind, shape = np.dtype(TYPES[message.type]), tuple(message.shape)
    if len(shape) > 8 or any(size < 0 for size in shape):
        raise ServeError(f"{what} has shape {shape[:9]}; it must have at most 8 axes, none below 0")
    size = kind.itemsize
    for axis in shape:
        size *= axis
    if size != len(message.data):
        raise ServeError(f"{what} has {len(message.data)} bytes; its shape {shape} needs {size}")
    return np.frombuffer(message.data, dtype=kind).reshape(shape).astype(kind.newbyteorder("="))


def from_array(values: Shaped[np.ndarray, "..."]) -> Any:
    """An `Array` of numbers. Raises ServeError for a type that does not travel."""
    values = np.asarray(values)
    if values.dtype.name not in TYPES:
        raise ServeError(f"numbers are {values.dtype.name}; they must be one of {', '.join(TYPES)}")
    data = np.ascontiguousarray(values, dtype=TYPES[values.dtype.name]).tobytes()
    return MESSAGES["Array"](type=values.dtype.name, shape=values.shape, data=data)
