"""Sessions in ASGI applications."""

from typing import Any, Awaitable, Callable, Dict, MutableMapping, Optional

from ._session import check_domain, session, visit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class ASGIMiddleware:
    """Makes the session of the visitor's browser the current one while a request is answered or a
    WebSocket is open. See WSGIMiddleware."""

    def __init__(self, app: Application, *, cookie_domain: Optional[str] = None) -> None:
        self._app = app
        self._domain = check_domain(cookie_domain)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: Dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            # HTTP/2 may cut a Cookie header into several.
            headers[name] = headers[name] + b"; " + value if name in headers else value
        here = visit(
            headers.get(b"cookie", b"").decode("latin-1"),
            secure=scope.get("scheme") in ("https", "wss"),
            private=headers.get(b"sec-gpc") == b"1",
            domain=self._domain,
        )

        async def send_with_cookie(message: Message) -> None:
            begins = message["type"] in ("http.response.start", "websocket.accept")
            if begins and here.set_cookie is not None:
                cookie = (b"set-cookie", here.set_cookie.encode("latin-1"))
                message = {**message, "headers": [*message.get("headers", ()), cookie]}
            await send(message)

        with session(here.session_id):
            await self._app(scope, receive, send_with_cookie)
