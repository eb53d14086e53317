"""Encodes events, once, when they are tracked."""

import json
import os
import time
from datetime import datetime, timedelta, timezone
from typing import Any, Mapping, NamedTuple, Optional, Union

from ._clock import Era

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_EPOCH = datetime(1970, 1, 1)


class Event(NamedTuple):
    """An encoded event."""

    id: str
    body: bytes
    era: Era
    tracked_at: int  # monotonic, µs


def encode_head(
    id: str, session_id: str, category: str, name: str, data: Optional[Mapping[str, Any]]
) -> bytes:
    """Returns the members of an event up to data. close_event adds the others.

    It raises TypeError, ValueError, RecursionError, or what the caller's own types raise, when a
    value has no JSON form that the server would read back as the same value.
    """
    for member, text in (
        ("id", id), ("session_id", session_id), ("category", category), ("name", name)
    ):
        if not isinstance(text, str):
            raise TypeError(f"{member} is not a str")
    if data is None:
        data = {}
    elif not isinstance(data, dict):
        if not isinstance(data, Mapping):
            raise TypeError("data is not a mapping")
        data = dict(data)
    members = {"id": id, "session_id": session_id, "category": category, "name": name, "data": data}
    text = _encode(members)
    # The encoder has refused circular data, so this ends.
    _check_keys(data)
    return text[:-1].encode("utf-8")


def close_event(head: bytes, timestamp: str, seq: int, sender: str) -> bytes:
    """Returns the event. timestamp is its JSON form."""
    return head + f',"timestamp":{timestamp},"seq":{seq},"sender":"{sender}"}}'.encode("ascii")


def _check_keys(value: Mapping[Any, Any]) -> None:
    """Refuses keys that are not texts: the encoder would make "True" of True and "1" of 1."""
    for key, member in value.items():
        if not isinstance(key, str):
            raise TypeError("a key is not a str")
        if isinstance(member, dict):
            _check_keys(member)
        elif isinstance(member, (list, tuple)):
            _check_elements(member)


def _check_elements(values: Any) -> None:
    for value in values:
        if isinstance(value, dict):
            _check_keys(value)
        elif isinstance(value, (list, tuple)):
            _check_elements(value)


def encode_time(timestamp: Union[str, datetime]) -> str:
    """Returns the JSON form of a time that the caller gave."""
    if isinstance(timestamp, datetime):
        if timestamp.utcoffset() is None:
            raise ValueError("timestamp has no time zone")
        utc = timestamp.astimezone(timezone.utc).replace(tzinfo=None)
        return f'"{utc.isoformat(timespec="microseconds")}Z"'
    if not isinstance(timestamp, str):
        raise TypeError("timestamp is not a str or a datetime")
    # ASCII, because what is not ASCII is not a time, and close_event wants it.
    return json.dumps(timestamp)


def format_time(microseconds: int) -> str:
    """Returns RFC 3339 in UTC with six digits of the second."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds") + "Z"


def uuid7() -> str:
    """Returns a UUID of version 7 (RFC 9562). It takes random bits from the system, because those
    of the random module repeat when a program seeds it."""
    bits = int.from_bytes(os.urandom(10), "big")
    milliseconds = time.time_ns() // 1_000_000
    return "%08x-%04x-%04x-%04x-%012x" % (
        milliseconds >> 16 & 0xFFFFFFFF,
        milliseconds & 0xFFFF,
        0x7000 | bits >> 68 & 0x0FFF,
        0x8000 | bits >> 48 & 0x3FFF,
        bits & 0xFFFFFFFFFFFF,
    )
