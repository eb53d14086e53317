"""Exit, fork and signals, in processes of their own."""

import inspect
import os
import subprocess
import sys
import threading
import unittest
from collections import defaultdict
from typing import Any, Dict, List

from . import ROOT
from .server import Handler, Server

from theeye import Eye

_BEGINNING = """
import atexit, multiprocessing, os, signal, sys, threading, time
from theeye import Eye

def tell(failure):
    print(failure.code, failure.events, flush=True)

def make(**options):
    return Eye(url=os.environ["EYE_URL"], key="eye_w_key", on_error=tell, **options)
"""


class TestProcess(unittest.TestCase):
    def run_script(self, server: Server, script: str) -> List[str]:
        """Returns the lines that the script prints."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _BEGINNING + script],
            env={**os.environ, "EYE_URL": server.url, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, text=True,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def assert_each_once(self, events: List[Dict[str, Any]], senders: Dict[str, int]) -> None:
        """senders has the number of events for each name. One sender has tracked them all."""
        self.assertEqual(len({event["id"] for event in events}), len(events))
        by_sender = defaultdict(list)
        for event in events:
            by_sender[event["sender"]].append(event)
        got: Dict[str, int] = {}
        for of_sender in by_sender.values():
            (name,) = {event["name"] for event in of_sender}
            self.assertNotIn(name, got)
            got[name] = len(of_sender)
            sequence = [event["seq"] for event in of_sender]
            self.assertEqual(sequence, list(range(1, len(of_sender) + 1)))
        self.assertEqual(got, senders)


class TestExit(TestProcess):
    def test_with_a_full_queue(self) -> None:
        with Server() as server:
            printed = self.run_script(server, """
eye = make()
for n in range(10_000):
    eye.track("c", "exit", {"n": n})
""")
            self.assertEqual(printed, [])
            self.assert_each_once(server.events, {"exit": 10_000})

    def test_by_an_exception_in_a_with_block(self) -> None:
        with Server() as server:
            self.run_script(server, """
try:
    with make() as eye:
        eye.track("c", "with")
        raise KeyError
except KeyError:
    pass
assert eye.stats.accepted == 1
""")
            self.assert_each_once(server.events, {"with": 1})

    def test_with_a_server_that_does_not_answer(self) -> None:
        self.assertEqual(inspect.signature(Eye.close).parameters["timeout"].default, 30.0)
        released = threading.Event()

        def respond(handler: Handler, events: List[Dict[str, Any]]) -> bool:
            released.wait()
            return True

        with Server(respond) as server:
            printed = self.run_script(server, """
Eye.close.__defaults__ = (0.3,)
eye = make()
for n in range(3):
    eye.track("c", "n")
""")
            released.set()
            self.assertEqual(printed, ["unsent 3"])

    def test_by_a_signal_that_is_handled(self) -> None:
        with Server() as server:
            self.run_script(server, """
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
eye = make(batch_delay=600)
eye.track("test", "at the end")
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(600)
""")
            self.assertEqual([event["name"] for event in server.events], ["at the end"])

    def test_of_a_client_that_was_never_used(self) -> None:
        with Server() as server:
            self.assertEqual(self.run_script(server, "eye = make()"), [])
            self.assertEqual(server.requests, [])

    def test_events_while_the_process_exits(self) -> None:
        """Functions that were registered later run before the client closes."""
        with Server() as server:
            printed = self.run_script(server, """
atexit.register(lambda: eye.track("c", "too late"))
eye = make()
atexit.register(lambda: eye.track("c", "late"))
""")
            self.assert_each_once(server.events, {"late": 1})
            self.assertIn(printed, ([], ["closed 1"]))  # the process may be faster


@unittest.skipUnless(hasattr(os, "fork"), "there is no fork on this system")
class TestFork(TestProcess):
    def test_workers_of_a_server(self) -> None:
        """As gunicorn does with --preload: the parent has tracked events that are not sent."""
        with Server() as server:
            self.run_script(server, """
eye = make(batch_delay=60, session_id="s")
for n in range(150):
    eye.track("c", "parent")
workers = []
for name in ("one", "two", "three"):
    worker = os.fork()
    if worker == 0:
        assert eye.stats.queued == 0
        for n in range(300):
            eye.track("c", name)
        sys.exit()
    workers.append(worker)
for worker in workers:
    assert os.waitpid(worker, 0)[1] == 0
for n in range(150):
    eye.track("c", "parent")
""")
            counts = {"parent": 300, "one": 300, "two": 300, "three": 300}
            self.assert_each_once(server.events, counts)

    def test_a_connection_is_not_shared(self) -> None:
        with Server() as server:
            self.run_script(server, """
eye = make()
eye.track("c", "parent")
assert eye.flush(60)
worker = os.fork()
if worker == 0:
    eye.track("c", "child")
    os._exit(0 if eye.close() else 1)
assert os.waitpid(worker, 0)[1] == 0
eye.track("c", "parent")
assert eye.close()
""")
            self.assert_each_once(server.events, {"parent": 2, "child": 1})
            self.assertEqual((server.connections, len(server.requests)), (2, 3))

    def test_while_a_request_is_under_way(self) -> None:
        """The connection stays the parent's."""
        forked = threading.Event()

        def respond(handler: Handler, events: List[Dict[str, Any]]) -> bool:
            if events[0]["name"] == "child":
                forked.set()
            else:
                forked.wait()
            return False

        with Server(respond) as server:
            self.run_script(server, """
eye = make()
eye.track("c", "parent")
eye.flush(0)
while eye._sender._transport._connection is None or eye._sender._transport._connection.sock is None:
    time.sleep(0.001)
worker = os.fork()
if worker == 0:
    eye.track("c", "child")
    assert eye.close()
    os._exit(0)
assert os.waitpid(worker, 0)[1] == 0
assert eye.close()
""")
            self.assert_each_once(server.events, {"parent": 1, "child": 1})
            self.assertEqual(len(server.requests), 2)

    def test_while_threads_track(self) -> None:
        """A lock that was held at the fork is not the child's."""
        with Server() as server:
            self.run_script(server, """
eye = make()
ended = False
def work():
    while not ended:
        eye.track("c", "parent")
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
workers = []
for n in range(20):
    worker = os.fork()
    if worker == 0:
        eye.track("c", f"child {n}")
        os._exit(0 if eye.close() else 1)
    workers.append(worker)
ended = True
for worker in workers:
    assert os.waitpid(worker, 0)[1] == 0
for thread in threads:
    thread.join()
eye.close(0)
""")
            children = [e["name"] for e in server.events if e["name"] != "parent"]
            self.assertEqual(sorted(children), sorted(f"child {n}" for n in range(20)))
            parent = {e["sender"] for e in server.events if e["name"] == "parent"}
            senders = {e["sender"] for e in server.events if e["name"] != "parent"}
            self.assertEqual(len(senders), 20)
            self.assertFalse(senders & parent)

    def test_nothing_is_imported_by_the_thread(self) -> None:
        """A process that was forked during an import cannot import the same module."""
        def respond(handler: Handler, events: List[Dict[str, Any]]) -> bool:
            if len(server.requests) == 1:
                handler.answer(503, b"", {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"})
            return len(server.requests) == 1

        with Server(respond) as server:
            self.run_script(server, """
import io
modules = set(sys.modules)
eye = make()
eye.track("c", "n", {"text": "ü" * 2000})
assert eye.flush(60)
eye.track("c", "n", {"text": object()})
assert eye.close()
assert set(sys.modules) == modules, set(sys.modules) - modules
""")

    def test_in_a_callback(self) -> None:
        with Server() as server:
            self.run_script(server, """
done = threading.Event()
def fork(failure):
    worker = os.fork()
    if worker == 0:
        eye.track("c", "child")
        eye._sender.close(30)  # eye.close refuses to be called here
        os._exit(0 if eye.stats.accepted == 1 else 1)
    assert os.waitpid(worker, 0)[1] == 0
    done.set()
eye = Eye(url=os.environ["EYE_URL"], key="k", on_error=fork, batch_delay=60)
eye.track("c", "parent")
eye.track("c", "n", {"a": object()})
assert done.wait(60)
""")
            self.assert_each_once(server.events, {"parent": 1, "child": 1})

    def test_of_a_client_that_was_closed(self) -> None:
        with Server() as server:
            printed = self.run_script(server, """
eye = make()
eye.close()
worker = os.fork()
if worker == 0:
    eye.track("c", "n")
    while eye._sender._losses.untold():
        time.sleep(0.001)
    os._exit(0)
assert os.waitpid(worker, 0)[1] == 0
""")
            self.assertEqual((printed, server.requests), (["closed 1"], []))

    def test_multiprocessing(self) -> None:
        with Server() as server:
            self.run_script(server, """
eye = make()
def work(name):
    eye.track("c", name)
    assert eye.close()
context = multiprocessing.get_context("fork")
processes = [context.Process(target=work, args=(name,)) for name in ("one", "two")]
for process in processes:
    process.start()
for process in processes:
    process.join()
    assert process.exitcode == 0
eye.track("c", "parent")
""")
            self.assert_each_once(server.events, {"one": 1, "two": 1, "parent": 1})


@unittest.skipUnless(hasattr(os, "fork"), "there is no setitimer on this system")
class TestSignals(TestProcess):
    def test_a_handler_that_tracks(self) -> None:
        """It may come while the same thread is within track."""
        with Server() as server:
            (counted,) = self.run_script(server, """
eye = make(queue_events=100_000, queue_bytes=1 << 30)
handled = []
def handle(number, frame):
    handled.append(number)  # which a handler within this one cannot spoil
    eye.track("c", "n")
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
tracked = 0
while len(handled) < 200 or tracked < 5000:
    eye.track("c", "n")
    tracked += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert eye.close()
assert eye.stats.queued_bytes == 0, eye.stats
print(tracked + len(handled))
""")
            ids = {event["id"] for event in server.events}
            self.assertEqual((len(ids), len(server.events)), (int(counted), int(counted)))
            sequence = sorted(event["seq"] for event in server.events)
            self.assertEqual(sequence, list(range(1, int(counted) + 1)))
