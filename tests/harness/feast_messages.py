"""Values and event times as Feast writes them, made by the protobuf library."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.timestamp_pb2 import Timestamp

_KINDS = {1: "bytes", 2: "string", 3: "int32", 4: "int64", 5: "double", 6: "float", 7: "bool", 8: "int64"}
"""Fields of feast.types.Value by number; 10 more is the list of the kind."""


def _value_message(packed: bool) -> Any:
    """Return a message class like feast.types.Value; lists are packed, as by Feast, or not."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"value{packed}.proto", package=f"v{packed}", syntax="proto3"
    )
    value = file.message_type.add(name="Value")
    value.oneof_decl.add(name="val")
    for number, kind in _KINDS.items():
        items = file.message_type.add(name=f"List{number}")
        item = items.field.add(name="val", number=1, label=3, type=_type(kind))
        item.options.packed = packed and kind not in ("bytes", "string")
        value.field.add(name=f"f{number}", number=number, label=1, type=_type(kind), oneof_index=0)
        of_list = f".v{packed}.List{number}"
        value.field.add(
            name=f"f{number + 10}", number=number + 10, label=1, type=11, type_name=of_list, oneof_index=0
        )
    value.field.add(name="f19", number=19, label=1, type=_type("int32"), oneof_index=0)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v{packed}.Value"))


def _type(kind: str) -> int:
    number: int = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}")
    return number


_MESSAGES = {packed: _value_message(packed) for packed in (True, False)}


def value_of(number: int, content: Any, *, packed: bool = True) -> bytes:
    """Return a serialised feast.types.Value: field `number` of it, with a scalar or a list."""
    message = _MESSAGES[packed]()
    if isinstance(content, list):
        getattr(message, f"f{number}").SetInParent()
        getattr(message, f"f{number}").val.extend(content)
    else:
        setattr(message, f"f{number}", content)
    return bytes(message.SerializeToString())


def event_time_of(event_time_us: int) -> bytes:
    """Return a serialised Timestamp."""
    seconds, micros = divmod(event_time_us, 10**6)
    return bytes(Timestamp(seconds=seconds, nanos=micros * 1000).SerializeToString())
