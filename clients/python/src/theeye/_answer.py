"""Reads the answers of the server."""

import json
from email.utils import parsedate_to_datetime
from datetime import timezone
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

# Retry-After is followed for five minutes at most.
_LONGEST = 300_000_000


class Answer(NamedTuple):
    """An answer. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def receipt(answer: Answer) -> Optional[List[Dict[str, Any]]]:
    """Returns the events that the answer lists, or None when it is not an answer of The Eye."""
    document = _object(answer.body)
    if document is None or "received" not in document:
        return None
    listed = document.get("events")
    return [e for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []


def detail(answer: Answer) -> str:
    """Returns what an error of the server says, on one line of at most 200 characters."""
    document = _object(answer.body) or {}
    text = document.get("detail") or document.get("title")
    return " ".join(text.split())[:200] if isinstance(text, str) else ""


def retry_after(answer: Answer, wall: int) -> Optional[int]:
    """Returns how long the server asks to wait in microseconds, or None when it does not ask.

    A date is compared with the answer's own, or else with the wall clock. A time that has passed
    counts as none, so that the usual delay applies.
    """
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        wait = int(text[:10]) * 1_000_000
    else:
        until = _date(text)
        if until is None:
            return None
        now = _date(answer.headers.get("date", ""))
        wait = until - (wall if now is None else now)
    return min(wait, _LONGEST) if wait > 0 else None


def _object(body: bytes) -> Optional[Dict[str, Any]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _date(text: str) -> Optional[int]:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return int(date.timestamp()) * 1_000_000
