"""Sessions in WSGI applications."""

import contextvars
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, List, Optional, Tuple

from ._session import check_domain, session, visit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class WSGIMiddleware:
    """Makes the session of the visitor's browser the current one while a request is answered.

    It reads the cookie theeye_session and sets it in every answer, so wrap what answers people
    rather than static files. cookie_domain is the cookieDomain of the browser's client. A request
    with Sec-GPC: 1 (Global Privacy Control) gets a session of its own and no cookie.
    """

    def __init__(self, app: "WSGIApplication", *, cookie_domain: Optional[str] = None) -> None:
        self._app = app
        self._domain = check_domain(cookie_domain)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        here = visit(
            environ.get("HTTP_COOKIE", ""),
            secure=environ.get("wsgi.url_scheme") == "https",
            private=environ.get("HTTP_SEC_GPC") == "1",
            domain=self._domain,
        )

        def start(
            status: str, headers: List[Tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            if here.set_cookie is not None:
                headers = [*headers, ("Set-Cookie", here.set_cookie)]
            # A server may have start_response(status, headers) only, and PEP 3333 lets it.
            return start_response(status, headers, *([exc_info] if exc_info else []))

        with session(here.session_id):
            # The body may be made later, and in another thread.
            context = contextvars.copy_context()
        body = context.run(self._app, environ, start)
        return body if isinstance(body, (list, tuple)) else _Body(body, context)


class _Body:
    """Makes a body in the context of its request."""

    def __init__(self, body: Iterable[bytes], context: contextvars.Context) -> None:
        self._body = body
        self._context = context
        self._chunks = context.run(lambda: iter(body))

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._context.run(lambda: next(self._chunks))

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)
