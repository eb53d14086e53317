"""What the cases of the contract cannot show: callbacks, threads, and the bounds in real time."""

import contextlib
import io
import json
import threading
import time
import unittest
from typing import Any, Dict, Iterator, List
from unittest import mock

from .server import Server
from .virtual import Request, Response, VirtualRuntime

from theeye import Eye, Failure, Rejection, current_session, session
from theeye._answer import Answer
from theeye._runtime import Runtime

ACCEPTED = Answer(202, {}, b'{"received":1}')
KEY = "eye_w_secret"


def accept(request: Request) -> Response:
    return Response(ACCEPTED)


def hang(request: Request) -> Response:
    return Response(None, hang=True)


class Virtual(unittest.TestCase):
    def make(self, respond: Any = accept, **options: Any) -> Eye:
        self.runtime = VirtualRuntime(1_767_323_045_000_000, respond)
        self.errors: List[Failure] = []
        options.setdefault("on_error", self.errors.append)
        eye = Eye(url="http://eye.example", key=KEY, _runtime=self.runtime, **options)

        def close() -> None:
            self.run_in_client(lambda: eye.close(0))

        self.addCleanup(close)
        return eye

    def run_in_client(self, call: Any) -> Any:
        """Returns what the call returns within an hour."""
        results: List[Any] = []
        self.runtime.start(lambda: results.append(call()))
        end = self.runtime.monotonic() + 3_600_000_000
        while not results and self.runtime.monotonic() < end:
            self.pass_seconds(1)
        return results[0]

    def no_threads(self) -> Any:
        refusal = RuntimeError("can't start new thread")
        return mock.patch.object(self.runtime, "start", side_effect=refusal)

    def pass_seconds(self, seconds: float) -> None:
        self.runtime.run_until(self.runtime.monotonic() + round(seconds * 1_000_000))


class TestReports(Virtual):
    def test_drops_are_reported_once_a_second_during_an_outage(self) -> None:
        eye = self.make(lambda r: Response(Answer(503, {"retry-after": "60"}, b"")), queue_events=1)
        eye.track("c", "n")
        for _ in range(50):
            self.pass_seconds(0.1)
            eye.track("c", "n")
        self.pass_seconds(1)
        self.assertIn(len(self.errors), (4, 5, 6))
        self.assertEqual(sum(error.events for error in self.errors), 50)
        self.assertEqual({error.code for error in self.errors}, {"queue_full"})
        self.assertEqual(eye.stats.dropped, 50)

    def test_callbacks_that_raise(self) -> None:
        def respond(request: Request) -> Response:
            return Response([
                Answer(400, {}, b""),
                Answer(202, {}, b'{"received":1,"events":[{"index":0,"status":"rejected"}]}'),
                ACCEPTED,
            ][request.number])

        def refuse(report: Any) -> None:
            raise [ValueError, SystemExit][self.runtime.requests[-1].number](report)

        eye = self.make(respond, batch_events=1, on_error=refuse, on_rejected=refuse)
        with contextlib.redirect_stderr(io.StringIO()) as printed:
            for _ in range(3):
                eye.track("c", "n")
            self.assertTrue(self.run_in_client(eye.flush))
        self.assertIn("ValueError", printed.getvalue())
        self.assertEqual(
            (eye.stats.dropped, eye.stats.rejected, eye.stats.accepted), (1, 1, 1)
        )

    def test_flush_and_close_in_a_callback(self) -> None:
        raised: List[BaseException] = []

        def callback(failure: Failure) -> None:
            for method in (eye.flush, eye.close):
                try:
                    method()
                except RuntimeError as error:
                    raised.append(error)
            eye.track("c", "from the callback")

        eye = self.make(on_error=callback)
        eye.track("c", "n", {"a": object()})
        self.assertTrue(self.run_in_client(lambda: eye.flush(10)))
        self.assertEqual(len(raised), 2)
        self.pass_seconds(1)
        self.assertEqual(eye.stats.accepted, 1)

    def test_flush_returns_after_the_callbacks(self) -> None:
        order: List[str] = []
        eye = self.make(
            lambda r: Response(Answer(400, {}, b'{"title":"no","detail":"not so"}')),
            on_error=lambda e: order.append(e.message),
        )
        eye.track("c", "n")

        def flush() -> bool:
            settled = eye.flush()
            order.append("flushed")
            return settled

        self.assertTrue(self.run_in_client(flush))
        self.assertEqual(order, ["the server answered 400 not so", "flushed"])

    def test_each_reason_is_reported(self) -> None:
        """Events that could not be encoded are reported for each reason, of which there are few."""
        told = threading.Event()
        self.errors = []

        def slow(failure: Failure) -> None:
            self.errors.append(failure)
            told.wait(60)  # so that the rest is gathered

        with Server() as server:
            eye = Eye(url=server.url, key=KEY, on_error=slow)
            eye.track("c", "n", {"n": float("nan")})
            while not self.errors:
                pass
            for _ in range(3):
                eye.track("c", "n", {"n": float("nan")})
                eye.track("c", "n", {"n": {1, 2}})
            for number in range(100):
                eye.track("c", "n", {"n": type(f"Type{number}", (), {})()})
            told.set()
            self.assertTrue(eye.close())
        self.assertEqual({e.code for e in self.errors}, {"unserializable"})
        self.assertEqual(sum(e.events for e in self.errors), 107)
        self.assertEqual([e.events for e in self.errors], [1, 3, 3] + [1] * 14 + [86])
        self.assertEqual(len({e.message for e in self.errors[1:]}), 17)
        self.assertIn("Type0", self.errors[3].message)
        self.assertIn("too many to list", self.errors[-1].message)

    def test_unsent_says_why(self) -> None:
        eye = self.make(lambda request: Response(Answer(503, {}, b'{"detail":"the disk is full"}')))
        eye.track("c", "n")
        self.pass_seconds(1)
        self.run_in_client(lambda: eye.close(timeout=1))
        self.assertEqual([e.code for e in self.errors], ["unsent"])
        self.assertIn("the server answered 503 the disk is full", self.errors[0].message)

    def test_no_text_has_the_key(self) -> None:
        class Telling(dict):  # type: ignore[type-arg]
            def items(self) -> Any:
                raise ValueError(KEY)

        def respond(request: Request) -> Response:
            if request.number == 0:
                raise OSError(KEY)
            return Response(Answer(400, {}, b'{"detail":"the key is ' + KEY.encode() + b'"}'))

        eye = self.make(respond)
        eye.track("c", "n", Telling(a=1))
        eye.track("c", "n")
        self.pass_seconds(0.5)
        self.assertIn("OSError", eye.stats.last_error or "")
        self.assertNotIn(KEY, eye.stats.last_error or "")
        self.pass_seconds(10)
        self.assertEqual([e.code for e in self.errors], ["unserializable", "refused"])
        self.assertNotIn(KEY, repr(self.errors) + repr(eye.stats))

    def test_answers_that_make_no_sense(self) -> None:
        bodies = [
            b"[]", b"{}", b'{"received"', b"\xff", b"[" * 100_000,
            b'{"received":1,"events":{"0":1}}',
        ]
        rejections: List[Rejection] = []
        eye = self.make(
            lambda r: Response(Answer(202, {}, bodies[min(r.number, 5)])),
            on_rejected=rejections.append,
        )
        eye.track("c", "n")
        self.assertTrue(self.run_in_client(eye.flush))
        self.assertEqual(len(self.runtime.requests), 6)
        self.assertEqual((self.errors, rejections, eye.stats.accepted), ([], [], 1))

    def test_rejections_that_make_no_sense(self) -> None:
        rejections: List[Rejection] = []
        entries = [
            b"1", b"{}", b'{"index":7,"status":"rejected"}', b'{"index":-1,"status":"rejected"}',
            b'{"index":"0","status":"rejected"}', b'{"index":true,"status":"rejected"}',
            b'{"index":0,"status":"duplicate"}',
            b'{"index":1,"status":"rejected","problems":[1,{"code":2}]}',
        ]
        body = b'{"received":2,"events":[' + b",".join(entries) + b"]}"
        eye = self.make(lambda r: Response(Answer(202, {}, body)), on_rejected=rejections.append)
        eye.track("c", "n")
        eye.track("c", "n", {"a": 1})
        self.assertTrue(self.run_in_client(eye.flush))
        self.assertEqual(len(rejections), 1)
        self.assertEqual(rejections[0].event["data"], {"a": 1})
        problem = rejections[0].problems[0]
        self.assertEqual((problem.code, problem.pointer, problem.message), ("2", "", ""))
        self.assertEqual((eye.stats.accepted, eye.stats.rejected), (1, 1))

    def test_retry_after_in_other_forms(self) -> None:
        for text, shortest, longest in [
            ("0", 0.1, 0.2),  # not again at once, forever
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0.1, 0.2),
            ("soon", 0.1, 0.2), ("-5", 0.1, 0.2), ("1.5", 0.1, 0.2), ("²", 0.1, 0.2),
            ("Fri, 99 Jan 2026 03:04:08 GMT", 0.1, 0.2),
            ("9" * 30, 300, 300),
            ("Fri, 02 Jan 2026 03:04:10 -0000", 4.5, 4.5),
        ]:
            with self.subTest(text):
                eye = self.make(
                    lambda r: Response(Answer(429, {"retry-after": text}, b"") if not r.number
                                       else ACCEPTED)
                )
                eye.track("c", "n")
                self.pass_seconds(400)
                first, second = self.runtime.requests
                self.assertLessEqual(shortest * 1e6, second.at - first.at)
                self.assertLessEqual(second.at - first.at, longest * 1e6)


class TestClose(Virtual):
    def test_twice_and_at_once(self) -> None:
        eye = self.make(hang)
        eye.track("c", "n")
        results: List[bool] = []
        for _ in range(3):
            self.runtime.start(lambda: results.append(eye.close(5)))
        self.pass_seconds(4.9)
        self.assertEqual(results, [])
        self.pass_seconds(0.2)
        self.assertEqual(results, [False] * 3)
        self.assertEqual([(e.code, e.events) for e in self.errors], [("unsent", 1)])
        self.assertFalse(self.run_in_client(eye.flush))

    def test_drops_are_reported_before_it_ends(self) -> None:
        eye = self.make(queue_events=1)
        eye.track("c", "n")
        eye.track("c", "n")
        self.assertTrue(self.run_in_client(eye.close))
        self.assertEqual([e.code for e in self.errors], ["queue_full"])

    def test_events_after_it_are_reported(self) -> None:
        eye = self.make()
        self.assertTrue(self.run_in_client(eye.close))
        for _ in range(1000):
            eye.track("c", "n")
        self.pass_seconds(1)
        self.assertEqual({e.code for e in self.errors}, {"closed"})
        self.assertEqual(sum(e.events for e in self.errors), 1000)
        self.assertEqual(self.runtime.requests, [])

    def test_without_a_thread(self) -> None:
        """As in an atexit function of Python 3.12 and later."""
        eye = self.make()
        start = self.runtime.start
        closed: List[bool] = []
        with self.no_threads():
            eye.track("c", "n")
            start(lambda: closed.append(eye.close(1)))
            self.pass_seconds(2)
        self.assertEqual(closed, [True])
        self.assertEqual(eye.stats.accepted, 1)

    def test_a_flush_tries_again_to_start_a_thread(self) -> None:
        eye = self.make()
        start = self.runtime.start
        flushed: List[bool] = []
        with self.no_threads():
            eye.track("c", "n")
            start(lambda: flushed.append(eye.flush(1.5)))
            start(lambda: flushed.append(eye.flush()))
            self.pass_seconds(2)
            self.assertEqual(flushed, [False])
        self.pass_seconds(2)
        self.assertEqual(flushed, [False, True])
        self.assertEqual(eye.stats.accepted, 1)

    def test_without_a_thread_or_an_answer(self) -> None:
        eye = self.make(hang)
        start = self.runtime.start
        closed: List[bool] = []
        with self.no_threads():
            eye.track("c", "n")
            start(lambda: closed.append(eye.close(2)))
            self.pass_seconds(2)
        self.assertEqual(closed, [False])
        self.assertEqual([(e.code, e.events) for e in self.errors], [("unsent", 1)])

    def test_a_timeout_after_it_changes_nothing(self) -> None:
        eye = self.make(lambda r: Response(ACCEPTED, after=2_000_000))
        eye.track("c", "n")
        self.pass_seconds(1)
        self.assertFalse(self.run_in_client(lambda: eye.close(1)))
        self.pass_seconds(10)
        self.assertEqual((eye.stats.accepted, eye.stats.dropped), (0, 1))


class TestRetries(Virtual):
    def test_an_answer_resets_the_delay(self) -> None:
        bad, good = Response(Answer(503, {}, b"")), Response(ACCEPTED)
        answers = [bad] * 5 + [good, bad, good]
        eye = self.make(lambda r: answers[r.number])
        eye.track("c", "n")
        self.pass_seconds(60)
        eye.track("c", "n")
        self.pass_seconds(60)
        waited = self.runtime.requests[7].at - self.runtime.requests[6].at
        self.assertLessEqual(waited, 200_000)

    def test_a_forked_process_sends_nothing_of_its_parent(self) -> None:
        """Not even when the parent's thread is the one that has forked."""
        eye = self.make()
        eye.track("c", "parent")
        self.runtime.run_until(0)
        eye._after_fork_in_child()
        self.pass_seconds(60)
        self.assertEqual((len(self.runtime.requests), eye.stats.queued), (0, 0))
        eye.track("c", "child")
        self.pass_seconds(1)
        self.assertNotIn(b"parent", self.runtime.requests[0].body)
        self.assertEqual(eye.stats.accepted, 1)

    def test_a_thread_that_could_not_be_started(self) -> None:
        eye = self.make()
        with self.no_threads():
            eye.track("c", "n")
            self.pass_seconds(1)
        eye.track("c", "n")
        self.pass_seconds(1)
        self.assertEqual(eye.stats.accepted, 2)


class TestSessions(Virtual):
    def test_which_session_an_event_has(self) -> None:
        eye = self.make(session_id="mine")
        eye.track("c", "n")
        with session("outer"):
            eye.track("c", "n")
            with session("inner"):
                eye.track("c", "n")
                eye.track("c", "n", session_id="given")
            self.assertEqual(current_session(), "outer")
        self.assertIsNone(current_session())
        self.pass_seconds(1)
        sessions = [text.split('"')[0] for text in
                    self.runtime.requests[0].body.decode().split('"session_id":"')[1:]]
        self.assertEqual(sessions, ["mine", "outer", "inner", "given"])

    def test_a_session_is_made(self) -> None:
        self.assertRegex(self.make().session_id, "^[0-9a-f-]{36}$")


class TestOptions(unittest.TestCase):
    def test_what_is_not_valid(self) -> None:
        good: Dict[str, Any] = {"url": "http://eye.example", "key": KEY}
        wrong: List[Dict[str, Any]] = [
            {"url": ""}, {"url": "eye.example"}, {"url": "ftp://eye.example"}, {"url": "http://"},
            {"url": "http://a:b@eye.example"}, {"url": "http://eye.example?key=a"}, {"url": None},
            {"url": "http://eye.example:port"}, {"url": "http://[::1"}, {"url": "http://e/a b"},
            {"url": "http://e/ü"},
            {"key": ""}, {"key": None}, {"key": KEY + "\r\nX: y"}, {"key": KEY + "ü"},
            {"queue_events": 0}, {"queue_bytes": -1}, {"batch_events": 0}, {"batch_bytes": 0},
            {"batch_delay": -0.1}, {"request_timeout": 0}, {"request_timeout": float("nan")},
        ]
        for option in wrong:
            with self.subTest(option), self.assertRaises(ValueError) as raised:
                Eye(**{**good, **option})
            self.assertNotIn(KEY, str(raised.exception))


class Silent(Runtime):
    """Has a transport that never answers."""

    def __init__(self) -> None:
        self.end = threading.Event()

    def transport(self, url: str, key: str) -> Any:
        return self

    def post(self, body: bytes, timeout: float) -> Answer:
        self.end.wait(timeout)
        raise TimeoutError

    def abort(self) -> None:
        self.end.set()

    def close(self) -> None:
        pass


class TestRealTime(unittest.TestCase):
    @contextlib.contextmanager
    def silent(self, **options: Any) -> Iterator[Eye]:
        eye = Eye(url="http://eye.example", key=KEY, _runtime=Silent(), **options)
        try:
            yield eye
        finally:
            eye.close(0)

    def test_track_never_waits_and_memory_is_bounded(self) -> None:
        with self.silent(queue_events=1000) as eye:
            slowest = 0.0
            for n in range(100_000):
                before = time.thread_time()
                eye.track("c", "n", {"n": n})
                slowest = max(slowest, time.thread_time() - before)
            stats = eye.stats
            self.assertEqual((stats.queued, stats.dropped), (1000, 99_000))
            self.assertLess(stats.queued_bytes, 1000 * 250)
        self.assertLess(slowest, 0.1)

    def test_threads(self) -> None:
        """Events of one thread are in the order of its calls, and their numbers have no hole."""
        with self.silent() as eye:
            def work(name: str) -> None:
                for n in range(500):
                    eye.track("c", "n", {"thread": name, "n": n}, session_id="one")

            threads = [threading.Thread(target=work, args=(str(i),)) for i in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            events = [json.loads(e.body) for e in eye._sender._queue._events]
        self.assertEqual([e["seq"] for e in events], list(range(1, 4001)))
        times = [e["timestamp"] for e in events]
        self.assertEqual(times, sorted(times))
        for i in range(8):
            mine = [e["data"]["n"] for e in events if e["data"]["thread"] == str(i)]
            self.assertEqual(mine, list(range(500)))
        self.assertEqual(len({e["id"] for e in events}), 4000)

    def test_later_changes_of_the_data(self) -> None:
        with self.silent() as eye:
            data = {"list": [1]}
            eye.track("c", "n", data)
            data["list"].append(2)
            data["other"] = []
            event = eye._sender._queue.first()
        assert event is not None
        self.assertIn(b'"data":{"list":[1]}', event.body)

    def test_an_answer_after_close_changes_nothing(self) -> None:
        class Late(Silent):
            def __init__(self) -> None:
                super().__init__()
                self.posting = threading.Event()

            def post(self, body: bytes, timeout: float) -> Answer:
                self.posting.set()
                self.end.wait()
                return ACCEPTED

        runtime = Late()
        eye = Eye(url="http://eye.example", key=KEY, _runtime=runtime)
        eye.track("c", "n")
        eye.flush(0)
        self.assertTrue(runtime.posting.wait(60))
        self.assertFalse(eye.close(0))
        for thread in threading.enumerate():
            if thread.name == "theeye":
                thread.join(60)
        self.assertFalse(eye.flush(0))
        self.assertEqual((eye.stats.accepted, eye.stats.dropped, eye.stats.queued), (0, 1, 0))

    def test_flush_times_out_in_real_time(self) -> None:
        with self.silent() as eye:
            eye.track("c", "n")
            before = time.monotonic()
            self.assertFalse(eye.flush(0.05))
            self.assertLess(time.monotonic() - before, 20)
