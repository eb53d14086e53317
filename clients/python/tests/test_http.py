"""The transport, with servers on ports of this machine."""

import gzip
import json
import os
import socket
import ssl
import threading
import time
import unittest
from contextlib import closing
from typing import Any, Callable, Dict, List
from unittest import mock

from . import ROOT
from .server import Handler, Server

from theeye import Eye, Failure, Rejection
from theeye import _transport
from theeye._transport import HTTPTransport

KEY = "eye_w_secret"


class TestRequests(unittest.TestCase):
    def test_form(self) -> None:
        with Server() as server, Eye(url=server.url + "/base/", key=KEY) as eye:
            eye.track("page interaction", "pageview", {"path": "/ü"}, session_id="a7")
            self.assertTrue(eye.flush(60))
            eye.track("c", "large", {"text": "x" * 2000})
            self.assertTrue(eye.flush(60))
        (small, body), (large, packed) = server.requests
        self.assertEqual(small["authorization"], "Bearer " + KEY)
        self.assertEqual(small["content-type"], "application/json")
        self.assertNotIn("content-encoding", small)
        self.assertIn("/ü".encode(), body)
        self.assertEqual(large["content-encoding"], "gzip")
        self.assertEqual(json.loads(gzip.decompress(packed))["events"][0]["name"], "large")
        self.assertEqual(server.connections, 1)
        self.assertEqual(server.paths, ["/base/v1/events?quiet=1"] * 2)

    def test_idle_connections_are_not_used_again(self) -> None:
        with Server() as server, Eye(url=server.url, key=KEY) as eye:
            with mock.patch.object(_transport, "_IDLE", -1.0):
                for _ in range(2):
                    eye.track("c", "n")
                    self.assertTrue(eye.flush(60))
        self.assertEqual(server.connections, 2)

    def test_connections_that_the_server_ends(self) -> None:
        def respond(handler: Handler, events: List[Dict[str, Any]]) -> bool:
            handler.answer(202, b'{"received":1}', {"Connection": "close"})
            return True

        with Server(respond) as server, closing(HTTPTransport(server.url, KEY)) as transport:
            for _ in range(3):
                self.assertEqual(transport.post(b'{"events":[]}', 60).status, 202)
        self.assertEqual((server.connections, len(server.requests)), (3, 3))

    def test_answers(self) -> None:
        """What follows an answer that breaks the rules of HTTP, or has a rare form, is an attempt
        that succeeds."""
        good = b'{"received":1,"events":[]}'

        def raw(data: bytes) -> Callable[[Handler], None]:
            def write(handler: Handler) -> None:
                handler.wfile.write(data)
                handler.close_connection = True
                handler.connection.shutdown(socket.SHUT_RDWR)

            return write

        head = b"HTTP/1.1 202 Accepted\r\n"
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (good[:5], good[5:], b""))
        for name, attempts, write in [
            ("chunks", 1, raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)),
            ("until the end", 1, raw(head + b"\r\n" + good)),
            ("HTTP/1.0", 1, raw(b"HTTP/1.0 202 Accepted\r\n\r\n" + good)),
            ("chunks that break off", 2, raw(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{")),
            ("a body that breaks off", 2, raw(head + b"Content-Length: 900\r\n\r\n" + good)),
            ("an empty body", 2, lambda h: h.answer(202, b"")),
            ("no content", 2, raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
            ("nothing", 2, raw(b"")),
            ("not HTTP", 2, raw(b"220 mail.example ESMTP\r\n")),
            ("endless headers", 2, raw(head + b"X: y\r\n" * 200 + b"\r\n" + good)),
            ("an early hint", 2, raw(b"HTTP/1.1 103 Early Hints\r\n\r\n")),
            ("a redirection", 2, lambda h: h.answer(307, good, {"Location": "/elsewhere"})),
        ]:
            with self.subTest(name):
                requests: List[int] = []

                def respond(handler: Handler, events: List[Dict[str, Any]]) -> bool:
                    requests.append(len(events))
                    if len(requests) == 1:
                        write(handler)
                    return len(requests) == 1

                with Server(respond) as server, Eye(url=server.url, key=KEY) as eye:
                    eye.track("c", "n")
                    self.assertTrue(eye.flush(60))
                    self.assertEqual(eye.stats.accepted, 1)
                    self.assertIsNone(eye.stats.last_error)
                self.assertEqual(len(requests), attempts)

    def test_an_answer_without_an_end(self) -> None:
        def respond(handler: Handler, events: List[Dict[str, Any]]) -> bool:
            handler.answer(202, b" " * 100_000, {"Content-Length": "10000000000"})
            return True

        with Server(respond) as server:
            with mock.patch.object(_transport, "_LONGEST_ANSWER", 50_000):
                with closing(HTTPTransport(server.url, KEY)) as transport:
                    with self.assertRaisesRegex(Exception, "too long"):
                        transport.post(b'{"events":[]}', 60)

    def test_a_server_that_is_slow(self) -> None:
        """The time of a request includes all parts of its answer."""
        released = threading.Event()

        def respond(handler: Handler, events: List[Dict[str, Any]]) -> bool:
            handler.answer(202, b"", {"Content-Length": "1000000"})
            while not released.wait(0.02):
                try:
                    handler.wfile.write(b" " * 100_000)
                except OSError:
                    break
            return True

        with Server(respond) as server, closing(HTTPTransport(server.url, KEY)) as transport:
            before = time.monotonic()
            # They are the same since Python 3.10.
            with self.assertRaises((TimeoutError, socket.timeout)):
                transport.post(b'{"events":[]}', 0.1)
            self.assertLess(time.monotonic() - before, 30)
            released.set()

    def test_real_answers_reach_the_callbacks(self) -> None:
        def respond(handler: Handler, events: List[Dict[str, Any]]) -> bool:
            problem = {"code": "schema_violation", "pointer": "/data/n", "message": "not a text"}
            document = {
                "received": 1,
                "events": [{"index": 0, "id": "x", "status": "rejected", "problems": [problem]}],
            }
            refusal = {"title": "Not Found", "detail": "no such   path"}
            name = events[0]["name"]
            if name == "rejected":
                handler.answer(202, json.dumps(document).encode())
            else:
                handler.answer(404, json.dumps(refusal).encode())
            return True

        failures: List[Failure] = []
        rejections: List[Rejection] = []
        with Server(respond) as server:
            with Eye(url=server.url, key=KEY, on_error=failures.append,
                     on_rejected=rejections.append, batch_events=1) as eye:
                eye.track("c", "rejected", {"n": 1}, id="order-17")
                eye.track("c", "refused")
        self.assertEqual(rejections[0].id, "order-17")
        self.assertEqual(rejections[0].event["data"], {"n": 1})
        self.assertEqual(rejections[0].problems[0].pointer, "/data/n")
        self.assertEqual(failures[0].message, "the server answered 404 no such path")


class TestAbort(unittest.TestCase):
    def test_close_ends_a_request(self) -> None:
        released = threading.Event()

        def respond(handler: Handler, events: List[Dict[str, Any]]) -> bool:
            arrived.set()
            released.wait()
            return False

        arrived = threading.Event()
        failures: List[Failure] = []
        with Server(respond) as server:
            eye = Eye(url=server.url, key=KEY, on_error=failures.append)
            eye.track("c", "n")
            eye.flush(0)
            self.assertTrue(arrived.wait(60))
            before = time.monotonic()
            self.assertFalse(eye.close(0.05))
            self.assertLess(time.monotonic() - before, 20)
            self.assertEqual([f.code for f in failures], ["unsent"])
            for thread in threading.enumerate():
                if thread.name == "theeye":
                    thread.join(20)
                    self.assertFalse(thread.is_alive())
            released.set()

    def test_nothing_is_sent_after_abort(self) -> None:
        with Server() as server, closing(HTTPTransport(server.url, KEY)) as transport:
            transport.abort()
            with self.assertRaises(ConnectionAbortedError):
                transport.post(b'{"events":[]}', 60)
            self.assertEqual(server.requests, [])

    def test_abort_of_a_connection_that_has_ended(self) -> None:
        with Server() as server, closing(HTTPTransport(server.url, KEY)) as transport:
            self.assertEqual(transport.post(b'{"events":[]}', 60).status, 202)
            assert transport._connection is not None
            transport._connection.sock.shutdown(socket.SHUT_RDWR)
            transport.abort()


class TestTLS(unittest.TestCase):
    def test_certificates_are_verified(self) -> None:
        certificate = str(ROOT / "tests/testdata/localhost.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with Server() as server:
            server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
            url = server.url.replace("http://127.0.0.1", "https://localhost")
            with closing(HTTPTransport(url, KEY)) as transport:
                with self.assertRaises(ssl.SSLCertVerificationError):
                    transport.post(b'{"events":[]}', 60)
            with mock.patch.dict(os.environ, {"SSL_CERT_FILE": certificate}):
                with Eye(url=url, key=KEY) as eye:
                    eye.track("c", "n")
                    self.assertTrue(eye.flush(60))
        self.assertEqual(len(server.events), 1)
