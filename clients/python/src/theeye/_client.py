"""The client."""

import atexit
import os
import weakref
from datetime import datetime
from types import TracebackType
from typing import Any, Callable, Mapping, Optional, Type, Union

from ._event import encode_head, encode_time, uuid7
from ._queue import Limits
from ._reports import Failure, Rejection, Reporter, Stats
from ._runtime import Runtime
from ._sender import Call, Sender, Settings
from ._session import current_session


class Eye:
    """Sends events to The Eye, in the background.

    Its methods may be called from any thread and, except flush and close, from a callback. In a
    process that was forked it begins anew: what its parent has queued is sent by the parent. It is
    closed at the interpreter's exit, and is a context manager that closes it earlier.

    url                the address of the server, such as https://eye.example.com
    key                a write key
    on_error           is called with a Failure
    on_rejected        is called with the Rejection of each event that the server rejects
    on_outage          is called with the cause when a request has failed and is repeated, again
                       when the cause changes, and with None when the server answers again
    queue_events       how many events may wait; more are dropped
    queue_bytes        and how large they may be together, encoded
    batch_events       a request is sent when it has this many events,
    batch_delay        or this many seconds after the first of them was tracked
    batch_bytes        a request ends before the event that would exceed this size
    request_timeout    after so many seconds without an answer, a request is sent again
    session_id         the session of events that have no other; a UUID is made when it is None

    Callbacks are called on the client's thread, and from close. One that takes long delays the
    events; the exception of one goes to threading.excepthook. It raises ValueError for an option
    that is not valid.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str,
        on_error: Optional[Callable[[Failure], None]] = None,
        on_rejected: Optional[Callable[[Rejection], None]] = None,
        on_outage: Optional[Callable[[Optional[str]], None]] = None,
        queue_events: int = 10_000,
        queue_bytes: int = 16 << 20,
        batch_events: int = 200,
        batch_delay: float = 0.5,
        batch_bytes: int = 1 << 20,
        request_timeout: float = 30.0,
        session_id: Optional[str] = None,
        _runtime: Runtime = Runtime(),
    ) -> None:
        bounds = {
            "queue_events": queue_events,
            "queue_bytes": queue_bytes,
            "batch_events": batch_events,
            "batch_bytes": batch_bytes,
            "request_timeout": request_timeout,
        }
        for option, value in bounds.items():
            if not value > 0:
                raise ValueError(f"{option} is not greater than 0")
        if not batch_delay >= 0:
            raise ValueError("batch_delay is negative")
        self.session_id = uuid7() if session_id is None else session_id
        self._reporter = Reporter(on_error, on_rejected, on_outage)
        self._transport = _runtime.transport(url, key)
        self._settings = Settings(
            Limits(queue_events, queue_bytes, batch_events, batch_bytes),
            int(batch_delay * 1_000_000),
            request_timeout,
            lambda text: text.replace(key, "…"),
            self._reporter,
            _runtime,
        )
        self._sender = Sender(self._settings, self._transport)
        _clients.add(self)
        atexit.register(self.close)

    def track(
        self,
        category: str,
        name: str,
        data: Optional[Mapping[str, Any]] = None,
        *,
        session_id: Optional[str] = None,
        id: Optional[str] = None,
        timestamp: Union[str, datetime, None] = None,
    ) -> None:
        """Records an event. It returns at once, and raises nothing.

        data has str keys and what the json module encodes: dict, list, tuple, str, int, float,
        bool and None. Circular data, NaN, infinite numbers, lone surrogates, keys that are not
        texts and other types cost this event alone: on_error is told that it is unserializable.

        session_id is that of a middleware or of session() when it is None, or else the client's.
        id and timestamp are made when they are None; give an id to an event that may be tracked
        twice. A timestamp is RFC 3339 or a datetime with a time zone.
        """
        try:
            if session_id is None:
                session_id = current_session() or self.session_id
            event_id = uuid7() if id is None else id
            head = encode_head(event_id, session_id, category, name, data)
            time = None if timestamp is None else encode_time(timestamp)
        except Exception as error:  # also those that the caller's own types raise
            self._sender.refuse(f"an event could not be encoded: {error}")
            return
        self._sender.track(Call(event_id, head, session_id, time))

    def flush(self, timeout: Optional[float] = None) -> bool:
        """Waits until the events that were tracked before are settled: accepted, rejected, or
        dropped and reported. Reports whether they are.

        It waits for at most timeout seconds, or without a limit. When the server does not accept
        the key, it returns False at once.
        """
        self._refuse_callback("flush")
        return self._sender.flush(timeout)

    def close(self, timeout: float = 30.0) -> bool:
        """Flushes for at most timeout seconds, reports what is left as unsent, and ends the client.
        Reports whether nothing was left. It may be called twice."""
        self._refuse_callback("close")
        atexit.unregister(self.close)
        return self._sender.close(timeout)

    @property
    def stats(self) -> Stats:
        return self._sender.stats()

    def in_callback(self) -> bool:
        """Reports whether the calling thread is within a callback."""
        return self._reporter.is_calling()

    def __enter__(self) -> "Eye":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _refuse_callback(self, method: str) -> None:
        if self.in_callback():
            raise RuntimeError(f"{method} was called from a callback, which it would wait for")

    def _after_fork_in_child(self) -> None:
        parents = self._sender
        parents.abandon()
        self._transport.forget()
        self._sender = Sender(self._settings, self._transport)
        if parents.is_closing():
            self._sender.close(0)


_clients: "weakref.WeakSet[Eye]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
