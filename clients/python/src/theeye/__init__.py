"""Sends events of web applications to The Eye.

    from theeye import Eye

    eye = Eye(url="https://eye.example.com", key="eye_w_…")
    eye.track("page interaction", "pageview", {"path": "/"}, session_id="a7")
    eye.close()
"""

from ._asgi import ASGIMiddleware
from ._client import Eye
from ._logs import LogHandler
from ._reports import Failure, Problem, Rejection, Stats
from ._session import current_session, session
from ._wsgi import WSGIMiddleware

__all__ = [
    "ASGIMiddleware",
    "Eye",
    "Failure",
    "LogHandler",
    "Problem",
    "Rejection",
    "Stats",
    "WSGIMiddleware",
    "current_session",
    "session",
]
