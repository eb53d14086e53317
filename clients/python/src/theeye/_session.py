"""The session that events belong to when track is given none."""

import re
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Iterator, NamedTuple, Optional
from urllib.parse import quote, unquote

from ._event import uuid7

COOKIE = "theeye_session"
_IDLE = 30 * 60
_LONGEST = 24 * 60 * 60
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_current: ContextVar[Optional[str]] = ContextVar("theeye_session", default=None)


def current_session() -> Optional[str]:
    """Returns the session id that track uses here when it is given none, or None when that is the
    client's own."""
    return _current.get()


@contextmanager
def session(session_id: str) -> Iterator[None]:
    """Makes a session id the current one of this context: this thread, or this asyncio task."""
    token = _current.set(session_id)
    try:
        yield
    finally:
        _current.reset(token)


class Visit(NamedTuple):
    """The session of a request, and the Set-Cookie header of its answer, if any."""

    session_id: str
    set_cookie: Optional[str]


def visit(cookies: str, *, secure: bool, private: bool, domain: Optional[str]) -> Visit:
    """Reads the session of a request from its Cookie header, or begins one.

    The browser drops the cookie after 30 minutes without a request. A session id that was made
    here or in the browser is a UUIDv7: the session ends 24 hours after the time in it. An id that
    a page has chosen has no such time, and only the 30 minutes apply. When the request is private,
    the session is that request, and nothing is stored.
    """
    if private:
        return Visit(uuid7(), None)
    session_id = _read(cookies)
    left = 0 if session_id is None else _left(session_id)
    if session_id is None or left <= 0:
        session_id, left = uuid7(), _LONGEST
    value = quote(session_id, safe="")
    cookie = f"{COOKIE}={value}; Path=/; Max-Age={min(_IDLE, left)}; SameSite=Lax"
    if domain is not None:
        cookie += f"; Domain={domain}"
    if secure:
        cookie += "; Secure"
    return Visit(session_id, cookie)


def check_domain(domain: Optional[str]) -> Optional[str]:
    if domain is not None and not re.fullmatch(r"[A-Za-z0-9.-]+", domain):
        raise ValueError("cookie_domain is not a valid domain")
    return domain


def _read(cookies: str) -> Optional[str]:
    for pair in cookies.split(";"):
        name, _, value = pair.partition("=")
        if name.strip() == COOKIE:
            # What is not UTF-8 becomes U+FFFD: an id like any other.
            session_id = unquote(value.strip())
            if 0 < len(session_id) <= 200 and session_id.isprintable():
                return session_id
    return None


def _left(session_id: str) -> int:
    """Returns for how many seconds the session may go on."""
    if not _UUID7.fullmatch(session_id):
        return _LONGEST
    began = int(session_id[:8] + session_id[9:13], 16) // 1000
    return began + _LONGEST - int(time.time())
