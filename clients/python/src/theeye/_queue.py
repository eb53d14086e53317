"""The events that are not settled, in the order of their calls."""

import secrets
import sys
from collections import deque
from itertools import islice
from typing import Deque, Dict, List, NamedTuple, Optional

from ._event import Event

# What counting in sessions takes in memory, and what it takes for one besides its id.
_COUNTS_BYTES = 16 << 20
_COUNT_BYTES = 120


class Limits(NamedTuple):
    """The bounds of a queue and of the batches that are taken from it; bytes are encoded size."""

    queue_events: int
    queue_bytes: int
    batch_events: int
    batch_bytes: int


class Batch(NamedTuple):
    """The events of a request."""

    events: List[Event]
    full: bool
    """Nothing that comes later would join them."""


class Queue:
    """A bounded queue. The caller holds a lock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._events: Deque[Event] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._events)

    def first(self) -> Optional[Event]:
        return self._events[0] if self._events else None

    def has_room(self, event: Event) -> bool:
        limits = self._limits
        return (
            len(self._events) < limits.queue_events
            and self.bytes + len(event.body) <= limits.queue_bytes
        )

    def append(self, event: Event) -> bool:
        """Reports whether the sender has a reason to look at the queue: it was empty, or a batch
        may have become full."""
        events = self._events
        look = not events or event.era is not events[-1].era
        before = self.bytes
        events.append(event)
        self.bytes += len(event.body)
        return (
            look
            or len(events) == self._limits.batch_events
            or before <= self._limits.batch_bytes <= self.bytes
        )

    def batch(self) -> Batch:
        """Returns the events of the next request, which stay in the queue."""
        batch: List[Event] = []
        size = 0
        for event in islice(self._events, self._limits.batch_events):
            if batch and (
                size + len(event.body) > self._limits.batch_bytes or event.era is not batch[0].era
            ):
                return Batch(batch, True)
            batch.append(event)
            size += len(event.body)
        full = len(batch) == self._limits.batch_events or size >= self._limits.batch_bytes
        return Batch(batch, full)

    def remove(self, count: int) -> None:
        """Removes the first events."""
        for _ in range(count):
            self.bytes -= len(self._events.popleft().body)


class Sequence:
    """Numbers the events of each session. The caller holds a lock.

    When the counts would take more than 16 MiB (about 80,000 sessions), it takes another name and
    counts anew.
    """

    def __init__(self) -> None:
        self._rename()

    def _rename(self) -> None:
        self.sender = secrets.token_hex(8)
        self._counts: Dict[str, int] = {}
        self._bytes = 0

    def next(self, session_id: str) -> int:
        """Returns the number of an event, which belongs to self.sender as it is afterwards."""
        if session_id not in self._counts:
            size = sys.getsizeof(session_id) + _COUNT_BYTES
            if self._bytes + size > _COUNTS_BYTES:
                self._rename()
            self._bytes += size
        seq = self._counts[session_id] = self._counts.get(session_id, 0) + 1
        return seq
