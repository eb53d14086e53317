"""A virtual system: the client's threads are real, its time and its network are not.

Time passes only in VirtualRuntime.run_until, and only while every thread of the client waits.
"""

import threading
from typing import Any, Callable, List, Optional

from theeye._answer import Answer
from theeye._runtime import Runtime

# Only a thread that never waits, which is a fault, takes so long, in real seconds.
_PATIENCE = 60


class _Sleeper:
    def __init__(self, until: Optional[int]) -> None:
        self.until = until
        self.woken = threading.Event()


class VirtualRuntime(Runtime):
    """Begins at a wall time in microseconds, and at 0 of the monotonic clock."""

    def __init__(self, wall: int, respond: Callable[["Request"], "Response"]) -> None:
        self._offset = wall
        self._now = 0
        self._respond = respond
        self._guard = threading.Condition()
        self._active = 0
        self._sleepers: List[_Sleeper] = []
        self.requests: List[Request] = []

    def wall(self) -> int:
        return self._now + self._offset

    def monotonic(self) -> int:
        return self._now

    def set_back(self, microseconds: int) -> None:
        self._offset -= microseconds

    def condition(self) -> Any:
        return _Condition(self)

    def start(self, run: Callable[[], None]) -> None:
        def counted() -> None:
            try:
                run()
            finally:
                with self._guard:
                    self._active -= 1
                    self._guard.notify_all()

        with self._guard:
            self._active += 1
        threading.Thread(target=counted, daemon=True).start()

    def transport(self, url: str, key: str) -> "_Transport":
        return _Transport(self)

    def run_until(self, end: int) -> None:
        """Lets the time pass."""
        with self._guard:
            while True:
                if not self._guard.wait_for(lambda: self._active == 0, _PATIENCE):
                    raise AssertionError("a thread of the client does not wait")
                due = [s for s in self._sleepers if s.until is not None and s.until <= end]
                if not due:
                    self._now = max(self._now, end)
                    return
                first = min(due, key=lambda s: s.until or 0)
                self._now = max(self._now, first.until or 0)
                self.wake(first)

    def sleeper(self, until: Optional[int]) -> _Sleeper:
        """Counts the calling thread as one that waits. It calls sleep next."""
        sleeper = _Sleeper(until)
        with self._guard:
            self._sleepers.append(sleeper)
            self._active -= 1
            self._guard.notify_all()
        return sleeper

    def wake(self, sleeper: _Sleeper) -> None:
        with self._guard:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
                self._active += 1
                sleeper.woken.set()


class _Condition:
    """Is like threading.Condition, on virtual time."""

    def __init__(self, runtime: VirtualRuntime) -> None:
        self._runtime = runtime
        self._lock = threading.RLock()
        self._waiting: List[_Sleeper] = []

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def wait(self, timeout: Optional[float] = None) -> None:
        until = None
        if timeout is not None:
            until = self._runtime.monotonic() + round(timeout * 1_000_000)
        sleeper = self._runtime.sleeper(until)
        self._waiting.append(sleeper)
        self._lock.release()
        sleeper.woken.wait()
        self._lock.acquire()
        if sleeper in self._waiting:
            self._waiting.remove(sleeper)

    def notify_all(self) -> None:
        for sleeper in self._waiting:
            self._runtime.wake(sleeper)
        self._waiting.clear()


class Request:
    def __init__(self, at: int, body: bytes, number: int) -> None:
        self.at = at
        self.body = body
        self.number = number


class Response:
    """An answer, after a time in microseconds; None is a connection that breaks, or a server that
    never answers when hang is set."""

    def __init__(self, answer: Optional[Answer], after: int = 0, hang: bool = False) -> None:
        self.answer = answer
        self.after = after
        self.hang = hang


class _Transport:
    def __init__(self, runtime: VirtualRuntime) -> None:
        self._runtime = runtime
        self._sleeper: Optional[_Sleeper] = None
        self._aborted = False

    def post(self, body: bytes, timeout: float) -> Answer:
        runtime = self._runtime
        request = Request(runtime.monotonic(), body, len(runtime.requests))
        runtime.requests.append(request)
        response = runtime._respond(request)
        limit = round(timeout * 1_000_000)
        late = response.hang or response.after > limit
        if late or response.after:
            until = request.at + (limit if late else response.after)
            self._sleeper = runtime.sleeper(until)
            self._sleeper.woken.wait()
            if self._aborted:
                raise ConnectionAbortedError
            if late:
                raise TimeoutError
        if response.answer is None:
            raise ConnectionResetError
        return response.answer

    def abort(self) -> None:
        self._aborted = True
        if self._sleeper is not None:
            self._runtime.wake(self._sleeper)

    def close(self) -> None:
        pass

    def forget(self) -> None:
        pass
