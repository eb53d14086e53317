"""The queue of one process, and the thread that sends it."""

import json
import random
from collections import deque
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Union

from ._answer import Answer, detail, receipt, retry_after
from ._clock import Clock
from ._event import Event, close_event, format_time
from ._queue import Limits, Queue, Sequence
from ._reports import (
    Failure, Loss, Losses, Outage, Problem, Rejection, Report, Reporter, Stats
)
from ._runtime import Runtime, Transport

# Times are in microseconds; those without another word are monotonic.
_SECOND = 1_000_000
_FIRST_DELAY = 200_000
_LONGEST_DELAY = 10 * _SECOND
# Events that find no room are reported together, this long after the first of them.
_GATHERED = 1 * _SECOND


class Settings(NamedTuple):
    """What the senders of a client have in common."""

    limits: Limits
    batch_delay: int
    request_timeout: float  # seconds
    redact: Callable[[str], str]
    reporter: Reporter
    runtime: Runtime


class Call(NamedTuple):
    """A call of track."""

    id: str
    head: bytes
    """See encode_head."""
    session_id: str
    timestamp: Optional[str]
    """Its JSON form. Without one, it is made when the event is queued."""


class _Outcome(NamedTuple):
    """What the answer to a request means."""

    settled: int
    """How many of the first events are settled."""
    reports: List[Report]
    unauthorized: bool


_AGAIN = _Outcome(0, [], False)


class _Work(NamedTuple):
    """What the thread does next: reports losses, or else sends a batch."""

    losses: List[Loss]
    batch: List[Event]


class Sender:
    """Sends events in their order, one request at a time.

    Its methods may be called concurrently. track may also be called within track, by a signal
    handler or a finalizer, so the lock is reentrant. The thread is started by the first event, ends
    after close, and is started again for what is to be reported then.
    """

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._runtime = settings.runtime
        self._reporter = settings.reporter
        self._transport = transport

        # It guards everything below.
        self._changed = settings.runtime.condition()
        self._running = False
        self._abandoned = False
        self._close_by: Optional[int] = None  # set by close
        self._closed = False
        self._unauthorized = False
        self._calls: Deque[Call] = deque()
        self._tracking = False
        self._queue = Queue(settings.limits)
        self._sequence = Sequence()
        self._clock = Clock(settings.runtime.wall, settings.runtime.monotonic)
        self._losses = Losses()
        # The queue's first events, cut into batches; the first batch is the last of the list.
        self._cut: List[List[Event]] = []
        self._failed_attempts = 0
        self._not_before = 0
        # Counts of events that were queued and that have been settled since the beginning. Until
        # _hurry events are settled, no batch waits for more.
        self._queued = 0
        self._settled = 0
        self._hurry = 0
        self._accepted = 0
        self._rejected = 0
        self._dropped = 0
        self._last_error: Optional[str] = None
        self._outage: Optional[str] = None  # as it was told

    def track(self, call: Call) -> None:
        """Queues an event."""
        with self._changed:
            self._calls.append(call)
            # Within a call that has been interrupted, the rest is left to that call.
            while self._calls and not self._tracking:
                self._tracking = True
                try:
                    while self._calls:
                        self._append(self._calls.popleft())
                finally:
                    self._tracking = False

    def refuse(self, reason: str) -> None:
        """Counts and reports an event that could not be encoded."""
        with self._changed:
            self._lose("unserializable", self._settings.redact(reason), 0)

    def flush(self, timeout: Optional[float]) -> bool:
        with self._changed:
            end = self._after(timeout)
            target = self._queued
            losses = self._losses.untold()
            self._hurry = target
            if self._settled < target:
                self._wake()
            while True:
                settled = self._settled >= target
                if settled and all(loss.told for loss in losses):
                    return True
                if not settled and (self._unauthorized or self._closed):
                    return False
                if self._running or settled:
                    if not self._wait_until(end):
                        return False
                    continue
                # No thread could be started, such as at a limit of processes: that is tried again.
                now = self._runtime.monotonic()
                if end is not None and now >= end:
                    return False
                self._wait_until(now + _SECOND if end is None else min(end, now + _SECOND))
                if self._settled < target:
                    self._wake()

    def close(self, timeout: float) -> bool:
        with self._changed:
            if self._close_by is not None:
                end = self._after(timeout)
                while not self._closed and self._wait_until(end):
                    pass
                return self._closed and self._settled == self._queued
            self._close_by = self._after(timeout)
            self._hurry = self._queued
            # While the interpreter shuts down, no thread can be started.
            inline = not self._idle() and not self._wake()
            self._running |= inline
        if inline:
            self._run()
        with self._changed:
            while not self._idle() and self._wait_until(self._close_by):
                pass
            self._closed = True
            unsent = len(self._queue)
            self._queue.remove(unsent)
            self._dropped += unsent
            losses = self._losses.take(None)
            reports = [loss.failure() for loss in losses]
            if unsent:
                reason = "close ended before they were sent"
                if self._last_error is not None:
                    reason += f"; the last attempt: {self._last_error}"
                reports.append(Failure("unsent", reason, unsent))
            if self._running:
                self._transport.abort()
            self._changed.notify_all()
        self._reporter.tell(reports)
        with self._changed:
            self._losses.told(losses)
        return unsent == 0

    def is_closing(self) -> bool:
        return self._close_by is not None

    def abandon(self) -> None:
        """Ends the sender of the parent process, whose lock may be held forever here."""
        self._abandoned = True

    def stats(self) -> Stats:
        with self._changed:
            return Stats(
                len(self._queue), self._queue.bytes,
                self._accepted, self._rejected, self._dropped, self._last_error,
            )

    # Below, _run and _send take the lock; the other methods are called with it held.

    def _append(self, call: Call) -> None:
        if self._close_by is not None:
            self._lose("closed", "an event was tracked after close", 0)
            return
        now, era = self._clock.stamp()
        timestamp = f'"{format_time(now)}"' if call.timestamp is None else call.timestamp
        seq = self._sequence.next(call.session_id)
        body = close_event(call.head, timestamp, seq, self._sequence.sender)
        event = Event(call.id, body, era, self._runtime.monotonic())
        if not self._queue.has_room(event):
            self._lose("queue_full", "the queue had no room for an event", _GATHERED)
            return
        self._queued += 1
        if self._queue.append(event) or not self._running:
            self._wake()

    def _lose(self, code: str, reason: str, delay: int) -> None:
        self._dropped += 1
        if self._losses.add(code, reason, self._runtime.monotonic() + delay):
            self._wake()

    def _wake(self) -> bool:
        """Makes the thread look at the queue. Reports whether there is a thread."""
        if self._running:
            self._changed.notify_all()
            return True
        self._running = True
        try:
            self._runtime.start(self._run)
        except RuntimeError:
            self._running = False
        return self._running

    def _after(self, seconds: Optional[float]) -> Optional[int]:
        return None if seconds is None else self._runtime.monotonic() + int(seconds * _SECOND)

    def _wait_until(self, end: Optional[int]) -> bool:
        """Waits for a change. Reports whether there was time left."""
        if end is None:
            self._changed.wait()
            return True
        left = end - self._runtime.monotonic()
        if left <= 0:
            return False
        self._changed.wait(left / _SECOND)
        return True

    def _idle(self) -> bool:
        sent = self._settled == self._queued or self._unauthorized
        return sent and not self._losses.untold()

    def _run(self) -> None:
        while True:
            with self._changed:
                work = self._next()
            if work is None:
                return
            if work.losses:
                self._reporter.tell([loss.failure() for loss in work.losses])
                with self._changed:
                    self._losses.told(work.losses)
                    self._changed.notify_all()
            else:
                self._send(work.batch)

    def _next(self) -> Optional[_Work]:
        """Waits for something to do. Returns None when the thread has to end."""
        while not self._abandoned:
            now = self._runtime.monotonic()
            losses = self._losses.take(now if self._close_by is None else None)
            if losses:
                return _Work(losses, [])
            due = self._due(now)
            if due is not None and due <= now:
                return _Work([], self._cut[-1])
            if due is None and self._close_by is not None:
                self._running = False
                self._transport.close()
                self._changed.notify_all()
                return None
            times = (due, self._losses.next_due(), self._close_by)
            self._wait_until(min((t for t in times if t is not None), default=None))
        return None

    def _due(self, now: int) -> Optional[int]:
        """Returns when the next request is due, or None when there is none. Once it is due, or
        waits for another attempt, its batch is the last of self._cut."""
        first = self._queue.first()
        if first is None or self._unauthorized:
            return None
        if self._close_by is not None and now >= self._close_by:
            return None
        if not self._cut:
            batch = self._queue.batch()
            ripe = first.tracked_at + self._settings.batch_delay
            if not batch.full and self._settled >= self._hurry and now < ripe:
                return ripe
            self._cut.append(batch.events)
        return self._not_before

    def _send(self, batch: List[Event]) -> None:
        with self._changed:
            sent_at = format_time(self._clock.sent_at(batch[0].era))
            timeout = self._settings.request_timeout
            if self._close_by is not None:
                timeout = min(timeout, (self._close_by - self._runtime.monotonic()) / _SECOND)
        events = b",".join([event.body for event in batch])
        body = b'{"sent_at":"' + sent_at.encode("ascii") + b'","events":[' + events + b"]}"
        answer: Union[Answer, Exception]
        try:
            answer = self._transport.post(body, timeout)
        except Exception as error:  # whatever it is, the next attempt may succeed
            answer = error
        with self._changed:
            if self._closed or self._abandoned:
                return
            failed = self._failed_attempts
            outcome = self._judge(batch, answer)
            self._queue.remove(outcome.settled)
            cause = self._last_error if self._failed_attempts > failed else None
            changed = [Outage(cause)] if cause != self._outage else []
            self._outage = cause
        self._reporter.tell([*changed, *outcome.reports])
        with self._changed:
            # Only now, so that flush returns after the callbacks.
            self._settled += outcome.settled
            self._unauthorized |= outcome.unauthorized
            self._changed.notify_all()

    def _judge(self, batch: List[Event], answer: Union[Answer, Exception]) -> _Outcome:
        """Decides what becomes of a batch, and counts it."""
        if isinstance(answer, Exception):
            self._try_later(f"{type(answer).__name__}: {answer}", None)
            return _AGAIN
        status = answer.status
        listed = receipt(answer) if 200 <= status < 300 else None
        if listed is None and (status < 400 or status in (408, 429) or status >= 500):
            what = "which was not The Eye's answer" if status < 400 else detail(answer)
            wait = retry_after(answer, self._runtime.wall())
            self._try_later(f"the server answered {status} {what}".rstrip(), wait)
            return _AGAIN
        self._failed_attempts = 0
        self._not_before = 0
        if listed is not None:
            self._last_error = None
            self._cut.pop()
            rejections = _rejections(batch, listed)
            self._rejected += len(rejections)
            self._accepted += len(batch) - len(rejections)
            return _Outcome(len(batch), [*rejections], False)
        message = self._settings.redact(f"the server answered {status} {detail(answer)}".rstrip())
        self._last_error = message
        if status in (401, 403):
            return _Outcome(0, [Failure("unauthorized", message, len(self._queue))], True)
        self._cut.pop()
        if status == 413 and len(batch) > 1:
            half = (len(batch) + 1) // 2
            self._cut += [batch[half:], batch[:half]]
            return _AGAIN
        self._dropped += len(batch)
        code = "too_large" if status == 413 else "refused"
        return _Outcome(len(batch), [Failure(code, message, len(batch))], False)

    def _try_later(self, reason: str, wait: Optional[int]) -> None:
        self._last_error = self._settings.redact(reason)
        if wait is None:
            longest = min(_LONGEST_DELAY, _FIRST_DELAY << min(self._failed_attempts, 10))
            wait = random.randint(longest // 2, longest)
        self._failed_attempts += 1
        self._not_before = self._runtime.monotonic() + wait


def _rejections(batch: List[Event], listed: List[Dict[str, Any]]) -> List[Rejection]:
    rejections = []
    for entry in listed:
        index = entry.get("index")
        if entry.get("status") != "rejected" or type(index) is not int:
            continue
        if 0 <= index < len(batch):
            event = batch[index]
            problems = entry.get("problems")
            rejections.append(
                Rejection(
                    event.id,
                    json.loads(event.body),
                    [
                        Problem(*(str(p.get(member, "")) for member in Problem.__annotations__))
                        for p in (problems if isinstance(problems, list) else [])
                        if isinstance(p, dict)
                    ],
                )
            )
    return rejections
