"""What a client tells the program that uses it."""

import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Optional, Union


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


class Reporter:
    """Calls the callbacks, and keeps their exceptions from the client."""

    def __init__(
        self,
        on_error: Optional[Callable[[Failure], None]],
        on_rejected: Optional[Callable[[Rejection], None]],
    ) -> None:
        self._on_error = on_error
        self._on_rejected = on_rejected
        self._calling = threading.local()

    def is_calling(self) -> bool:
        """Reports whether the calling thread is within a callback."""
        return getattr(self._calling, "now", False)

    def tell(self, reports: Iterable[Union[Failure, Rejection]]) -> None:
        for report in reports:
            self._calling.now = True
            try:
                if isinstance(report, Failure):
                    if self._on_error is not None:
                        self._on_error(report)
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


class Loss:
    """Events that were lost and are reported together."""

    def __init__(self, code: str, reason: str, due: int) -> None:
        self.code = code
        self.reason = reason  # of the first of them
        self.due = due
        self.events = 0
        self.told = False

    def failure(self) -> Failure:
        return Failure(self.code, self.reason, self.events)


class Losses:
    """Gathers losses until they are due; times are monotonic, in microseconds. The caller holds a
    lock."""

    def __init__(self) -> None:
        self._gathering: Dict[str, Loss] = {}
        self._telling: List[Loss] = []

    def add(self, code: str, reason: str, due: int) -> bool:
        """Reports whether it is the first of those that are reported together."""
        loss = self._gathering.get(code)
        first = loss is None
        if loss is None:
            loss = self._gathering[code] = Loss(code, reason, due)
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
            del self._gathering[loss.code]
        self._telling += taken
        return taken

    def told(self, losses: List[Loss]) -> None:
        for loss in losses:
            loss.told = True
        self._telling = [loss for loss in self._telling if not loss.told]
