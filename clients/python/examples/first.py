"""Sends an event. EYE_URL and EYE_KEY name the server and a write key."""

import os

from theeye import Eye

with Eye(
    url=os.environ["EYE_URL"], key=os.environ["EYE_KEY"], on_error=print, on_rejected=print
) as eye:
    eye.track("page interaction", "pageview", {"path": "/"}, session_id="a7")
print(eye.stats)
