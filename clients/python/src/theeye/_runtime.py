"""The system under the client. The tests run the client on a virtual one."""

import threading
import time
from typing import Callable, Protocol

from ._answer import Answer
from ._transport import HTTPTransport


class Transport(Protocol):
    def post(self, body: bytes, timeout: float) -> Answer: ...

    def abort(self) -> None: ...

    def close(self) -> None: ...

    def forget(self) -> None: ...


class Runtime:
    """Clocks in microseconds, threads, and the transport."""

    def wall(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> int:
        return time.monotonic_ns() // 1000

    def condition(self) -> threading.Condition:
        return threading.Condition()

    def start(self, run: Callable[[], None]) -> None:
        """Runs in a thread. It raises RuntimeError when the interpreter is shutting down."""
        threading.Thread(target=run, name="theeye", daemon=True).start()

    def transport(self, url: str, key: str) -> Transport:
        return HTTPTransport(url, key)
