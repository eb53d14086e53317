"""What a client tells the program that uses it."""

import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union


@dataclass(frozen=True)
class Failure:
    """Something that went wrong. on_error gets it."""

    code: str
    """queue_full, unserializable, too_large, refused, unauthorized, unsent or closed."""
    message: str
    """For people. It never contains the key."""
    events: int
    """How many events it concerns. They are lost, except after unauthorized."""


@dataclass(frozen=True)
class Problem:
    """One reason why the server rejected an event."""

    code: str
    """As the documentation of the server lists them, such as schema_violation."""
    pointer: str
    """The JSON Pointer of the value, such as /data/path."""
    message: str


@dataclass(frozen=True)
class Rejection:
    """An event that the server rejected. on_rejected gets it. The server keeps the event."""

    id: str
    event: Dict[str, Any]
    """The event as it was sent."""
    problems: List[Problem]


@dataclass(frozen=True)
class Stats:
    """Counts since the client was made or, in a forked process, since the fork."""

    queued: int
    """Events that are not settled."""
    queued_bytes: int
    """Their encoded size."""
    accepted: int
    rejected: int
    dropped: int
    """Events that were lost, for whichever reason."""
    last_error: Optional[str]
    """What the last request failed with; None after one that succeeded."""


@dataclass(frozen=True)
class Outage:
    """Why requests are repeated. on_outage gets the cause."""

    cause: Optional[str]
    """None when the server answers again."""


Report = Union[Failure, Rejection, Outage]


class Reporter:
    """Calls the callbacks, and keeps their exceptions from the client."""

    def __init__(
        self,
        on_error: Optional[Callable[[Failure], None]],
        on_rejected: Optional[Callable[[Rejection], None]],
        on_outage: Optional[Callable[[Optional[str]], None]],
    ) -> None:
        self._on_error = on_error
        self._on_rejected = on_rejected
        self._on_outage = on_outage
        self._calling = threading.local()

    def is_calling(self) -> bool:
        """Reports whether the calling thread is within a callback."""
        return getattr(self._calling, "now", False)

    def tell(self, reports: Iterable[Report]) -> None:
        for report in reports:
            self._calling.now = True
            try:
                if isinstance(report, Failure):
                    if self._on_error is not None:
                        self._on_error(report)
                elif isinstance(report, Outage):
                    if self._on_outage is not None:
                        self._on_outage(report.cause)
                elif self._on_rejected is not None:
                    self._on_rejected(report)
            except (Exception, SystemExit) as error:
                # As with any exception that leaves a thread.
                threading.excepthook(
                    threading.ExceptHookArgs(
                        (type(error), error, error.__traceback__, threading.current_thread())
                    )
                )
            finally:
                self._calling.now = False


# How many reasons of one code are reported apart from each other.
_REASONS = 16


class Loss:
    """Events that were lost and are reported together."""

    def __init__(self, code: str, reason: str, due: int) -> None:
        self.code = code
        self.reason = reason
        self.due = due
        self.events = 0
        self.told = False

    def failure(self) -> Failure:
        return Failure(self.code, self.reason, self.events)


class Losses:
    """Gathers losses until they are due; times are monotonic, in microseconds. The caller holds a
    lock."""

    def __init__(self) -> None:
        self._gathering: Dict[Tuple[str, str], Loss] = {}  # by code and reason
        self._telling: List[Loss] = []

    def add(self, code: str, reason: str, due: int) -> bool:
        """Reports whether it is the first of those that are reported together: those of one code and
        reason. When there are many reasons, the rest of them are reported together, too."""
        loss = self._gathering.get((code, reason))
        if loss is None and sum(c == code for c, _ in self._gathering) >= _REASONS:
            reason = "there were other reasons, too many to list"
            loss = self._gathering.get((code, reason))
        first = loss is None
        if loss is None:
            loss = self._gathering[code, reason] = Loss(code, reason, due)
        loss.events += 1
        return first

    def next_due(self) -> Optional[int]:
        return min((loss.due for loss in self._gathering.values()), default=None)

    def untold(self) -> List[Loss]:
        return self._telling + list(self._gathering.values())

    def take(self, now: Optional[int]) -> List[Loss]:
        """Returns those that are due, or all when now is None. The caller reports them."""
        taken = [loss for loss in self._gathering.values() if now is None or loss.due <= now]
        for loss in taken:
            del self._gathering[loss.code, loss.reason]
        self._telling += taken
        return taken

    def told(self, losses: List[Loss]) -> None:
        for loss in losses:
            loss.told = True
        self._telling = [loss for loss in self._telling if not loss.told]
