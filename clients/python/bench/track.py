"""Prints what a call of track costs, encoding included, in microseconds of processor time."""

import pathlib
import sys
import threading
import time
from typing import Any, Dict

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "src"))

from theeye import Eye  # noqa: E402
from theeye._answer import Answer  # noqa: E402
from theeye._runtime import Runtime  # noqa: E402

CALLS = 20_000
DATA: Dict[str, Dict[str, Any]] = {
    "small": {"path": "/"},
    "usual": {
        "host": "www.shop.example", "path": "/checkout", "items": 3, "total": 59.9,
        "form": {"first_name": "Jo", "newsletter": True, "codes": ["a", "b"]},
    },
}


class Silent(Runtime):
    """Never answers, so that only track is measured."""

    def transport(self, url: str, key: str) -> Any:
        return self

    def post(self, body: bytes, timeout: float) -> Answer:
        threading.Event().wait(timeout)
        raise TimeoutError

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass


for name, data in DATA.items():
    best = float("inf")
    for _ in range(7):
        eye = Eye(
            url="http://localhost", key="k", queue_events=CALLS, queue_bytes=1 << 30,
            _runtime=Silent(),
        )
        began = time.thread_time()
        for _ in range(CALLS):
            eye.track("page interaction", "pageview", data, session_id="a7")
        best = min(best, (time.thread_time() - began) / CALLS)
        eye.close(0)
    print(f"track of {name} data: {best * 1e6:.1f} µs")
