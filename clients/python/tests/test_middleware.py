import asyncio
import time
import unittest
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple
from unittest import mock
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from theeye import ASGIMiddleware, WSGIMiddleware, current_session
from theeye._event import uuid7
from theeye._session import visit

Headers = List[Tuple[str, str]]


def uuid7_of(seconds: float) -> str:
    with mock.patch("time.time_ns", lambda: int(seconds * 1e9)):
        return uuid7()


class TestVisit(unittest.TestCase):
    def visit(self, cookies: str, **options: Any) -> Tuple[str, str]:
        options = {"secure": False, "private": False, "domain": None, **options}
        here = visit(cookies, **options)
        return here.session_id, here.set_cookie or ""

    def test_a_session_begins(self) -> None:
        for cookies in ["", "theeye_session=", "other=1; theeye_sessions=a", "theeye_session",
                        "theeye_session=a%00b", "theeye_session=" + "a" * 201, ";;=;"]:
            with self.subTest(cookies):
                session_id, cookie = self.visit(cookies)
                self.assertRegex(session_id, "^[0-9a-f-]{36}$")
                self.assertEqual(
                    cookie,
                    f"theeye_session={session_id}; Path=/; Max-Age=1800; SameSite=Lax",
                )

    def test_a_session_goes_on(self) -> None:
        """The forms are those of the browser's client: encodeURIComponent of the id."""
        now = time.time()
        for value, session_id, longest in [
            (uuid7_of(now), None, 1800),
            (uuid7_of(now - 86400 + 1860), None, 1800),
            (uuid7_of(now - 86400 + 100), None, 101),
            (uuid7_of(now + 5000), None, 1800),
            ("chosen", None, 1800),
            ("a%20b%3B%C3%BC", "a b;ü", 1800),
            ("a" * 200, None, 1800),
        ]:
            with self.subTest(value):
                got, cookie = self.visit(f"a=b;theeye_session={value} ; c=d")
                self.assertEqual(got, session_id or value)
                self.assertTrue(cookie.startswith(f"theeye_session={value}; "))
                age = int(cookie.split("Max-Age=")[1].split(";")[0])
                self.assertLessEqual(age, longest)
                self.assertGreater(age, longest - 30)

    def test_a_session_ends_after_24_hours(self) -> None:
        old = uuid7_of(time.time() - 86401)
        session_id, cookie = self.visit(f"theeye_session={old}")
        self.assertNotEqual(session_id, old)
        self.assertIn(session_id, cookie)

    def test_attributes(self) -> None:
        _, cookie = self.visit("", secure=True, domain=".shop.example")
        self.assertTrue(cookie.endswith("; SameSite=Lax; Domain=.shop.example; Secure"))
        for make in (WSGIMiddleware, ASGIMiddleware):
            with self.assertRaises(ValueError):
                make(None, cookie_domain="a; b")

    def test_privacy(self) -> None:
        first, cookie = self.visit("theeye_session=a", private=True)
        second, _ = self.visit("theeye_session=a", private=True)
        self.assertEqual((cookie, len({first, second, "a"})), ("", 3))


class TestWSGI(unittest.TestCase):
    def call(self, app: Any, **environ: str) -> Tuple[Dict[str, str], bytes]:
        values: Dict[str, Any] = {"QUERY_STRING": "", **environ}
        setup_testing_defaults(values)
        got: Dict[str, str] = {}

        def start_response(status: str, headers: Headers, exc_info: Any = None) -> Any:
            got.update(headers)
            got["status"] = status
            return lambda data: None

        body: Any = validator(app)(values, start_response)
        content = b"".join(body)
        body.close()
        return got, content

    def test_list(self) -> None:
        def app(environ: Any, start_response: Any) -> List[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(current_session()).encode()]

        headers, body = self.call(WSGIMiddleware(app), HTTP_COOKIE="theeye_session=a7")
        self.assertEqual(body, b"a7")
        self.assertEqual(headers["Content-Type"], "text/plain")
        self.assertTrue(headers["Set-Cookie"].startswith("theeye_session=a7; "))
        self.assertNotIn("Secure", headers["Set-Cookie"])
        self.assertIsNone(current_session())
        headers, _ = self.call(WSGIMiddleware(app), **{"wsgi.url_scheme": "https"})
        self.assertIn("Secure", headers["Set-Cookie"])
        headers, body = self.call(
            WSGIMiddleware(app), HTTP_SEC_GPC="1", HTTP_COOKIE="theeye_session=a7"
        )
        self.assertNotIn("Set-Cookie", headers)
        self.assertNotEqual(body, b"a7")

    def test_generator(self) -> None:
        closed: List[Optional[str]] = []

        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            try:
                yield str(current_session()).encode()
                yield str(current_session()).encode()
            finally:
                closed.append(current_session())

        _, body = self.call(WSGIMiddleware(app), HTTP_COOKIE="theeye_session=a7")
        self.assertEqual((body, closed), (b"a7a7", ["a7"]))
        self.assertIsNone(current_session())

    def test_an_iterable_without_close(self) -> None:
        class Body:
            def __iter__(self) -> Iterator[bytes]:
                return iter([str(current_session()).encode()])

        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            try:
                raise ValueError
            except ValueError as error:
                start_response("500 No", [("Content-Type", "text/plain")],
                               (type(error), error, error.__traceback__))
            return Body()

        headers, body = self.call(WSGIMiddleware(app), HTTP_COOKIE="theeye_session=a7")
        self.assertEqual((headers["status"], body), ("500 No", b"a7"))

    def test_exceptions(self) -> None:
        def app(environ: Any, start_response: Any) -> List[bytes]:
            raise KeyError("a")

        with self.assertRaises(KeyError):
            self.call(WSGIMiddleware(app))
        self.assertIsNone(current_session())


class TestASGI(unittest.TestCase):
    def call(self, scope: Dict[str, Any], answer: Dict[str, Any]) -> Tuple[Any, List[Any]]:
        sent: List[Any] = []
        sessions: List[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(0)
            sessions.append(current_session())
            await send(answer)

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {}

        async def both() -> None:
            # Another request at the same time has a session of its own.
            other = {"type": "http", "headers": [(b"cookie", b"theeye_session=other")]}
            middleware = ASGIMiddleware(app, cookie_domain="shop.example")
            await asyncio.gather(
                middleware(scope, receive, send),
                ASGIMiddleware(app)(other, receive, ignore),
            )

        async def ignore(message: Any) -> None:
            pass

        asyncio.run(both())
        self.assertEqual(sessions.pop(), "other")
        return sessions[0], sent

    def test_http(self) -> None:
        scope = {
            "type": "http", "scheme": "https",
            "headers": [(b"cookie", b"a=b"), (b"cookie", b"theeye_session=a7")],
        }
        start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
        session_id, (sent,) = self.call(scope, start)
        self.assertEqual(session_id, "a7")
        self.assertEqual(sent["headers"][0], (b"a", b"b"))
        name, value = sent["headers"][1]
        self.assertEqual(name, b"set-cookie")
        self.assertIn(b"theeye_session=a7; ", value)
        self.assertTrue(value.endswith(b"; Domain=shop.example; Secure"))
        self.assertEqual(start["headers"], [(b"a", b"b")])

    def test_websocket(self) -> None:
        scope = {"type": "websocket", "scheme": "ws", "headers": []}
        session_id, (sent,) = self.call(scope, {"type": "websocket.accept"})
        self.assertRegex(session_id, "^[0-9a-f-]{36}$")
        self.assertIn(session_id.encode(), sent["headers"][0][1])

    def test_other_messages_and_privacy(self) -> None:
        body = {"type": "http.response.body", "body": b""}
        scope: Dict[str, Any] = {"type": "http", "headers": [(b"sec-gpc", b"1")]}
        self.assertEqual(self.call(scope, body)[1], [body])
        start = {"type": "http.response.start", "status": 200}
        self.assertEqual(self.call(scope, start)[1], [start])

    def test_lifespan(self) -> None:
        message = {"type": "lifespan.startup.complete"}
        self.assertEqual(self.call({"type": "lifespan"}, message), (None, [message]))
