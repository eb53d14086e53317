"""Sends events to a server, for the tests that all clients share.

    EYE_URL=… EYE_KEY=… [PREFIX=…] [EYE_CLOSE_SECONDS=300] python3 driver.py EVENTS SESSIONS

It prints a line of JSON for each error and each rejected event, and exits 0 if no event was dropped
or left.
"""

import json
import os
import pathlib
import sys
import time
from dataclasses import asdict
from typing import Union

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "src"))

from theeye import Eye, Failure, Rejection  # noqa: E402


def tell(report: Union[Failure, Rejection]) -> None:
    print(json.dumps(asdict(report)), flush=True)


def main() -> int:
    events, sessions = int(sys.argv[1]), int(sys.argv[2])
    prefix = os.environ.get("PREFIX", "driver-")
    queue = 10_000
    eye = Eye(
        url=os.environ["EYE_URL"], key=os.environ["EYE_KEY"],
        on_error=tell, on_rejected=tell, queue_events=queue,
    )
    for i in range(events):
        while eye.stats.queued > queue // 2:
            time.sleep(0.01)
        eye.track("test", "driver", {"n": i}, session_id=f"{prefix}{i % sessions}")
    settled = eye.close(float(os.environ.get("EYE_CLOSE_SECONDS", "300")))
    return 0 if settled and eye.stats.dropped == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
