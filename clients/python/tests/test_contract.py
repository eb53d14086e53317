"""Runs the cases of ../../contract on virtual time."""

import json
import re
import unittest
from datetime import datetime
from typing import Any, Callable, Dict, List, Optional

from . import ROOT
from .virtual import Request, Response, VirtualRuntime

from theeye import Eye, Failure, Rejection
from theeye._answer import Answer

_BODY = re.compile(rb'\{"sent_at":"([^"]+)","events":\[(.+)\]\}', re.DOTALL)
_MEMBERS = ["id", "session_id", "category", "name", "data", "timestamp", "seq", "sender"]
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class TestContract(unittest.TestCase):
    """Has a method for each case; see the end of this file."""

    def run_case(self, case: Dict[str, Any]) -> None:
        self._case = case
        self._known(
            case,
            {"name", "options", "start", "steps", "answers", "requests", "errors", "rejected",
             "outages", "queued", "until_ms", "only", "except"},
        )
        options = case.get("options", {})
        self._known(options, {"batch_events", "batch_bytes", "queue_events", "queue_bytes"})
        self.errors: List[Failure] = []
        self.rejected: List[Rejection] = []
        self.outages: List[Optional[str]] = []
        self.flushed: Dict[int, bool] = {}
        start = datetime.fromisoformat(case["start"].replace("Z", "+00:00"))
        self.runtime = VirtualRuntime(round(start.timestamp()) * 1_000_000, self._respond)
        self.eye = Eye(
            url="http://eye.example", key="eye_w_key", on_error=self.errors.append,
            on_rejected=self.rejected.append, on_outage=self.outages.append, _runtime=self.runtime, **options,
        )
        for number, step in enumerate(case["steps"]):
            self.runtime.run_until(step["at_ms"] * 1000)
            self._step(number, step)
        self.runtime.run_until(case.get("until_ms", case["steps"][-1]["at_ms"] + 600_000) * 1000)
        self._compare(case)
        self.runtime.start(lambda: self._close(0))
        self.runtime.run_until(self.runtime.monotonic() + 1)

    def _close(self, timeout: float) -> None:
        self.eye.close(timeout)

    def _known(self, value: Dict[str, Any], members: Any) -> None:
        unknown = set(value) - set(members)
        if unknown:
            self.fail(f"the case has members that are not known here: {unknown}")

    def _step(self, number: int, step: Dict[str, Any]) -> None:
        if "track" in step:
            self._known(step, {"at_ms", "track", "times"})
            call = dict(step["track"])
            self._known(call, {"id", "session_id", "category", "name", "data", "timestamp"})
            if "$special" in call.get("data", {}):
                call["data"] = self._special(call["data"])
            for _ in range(step.get("times", 1)):
                self.eye.track(**call)
        elif "set_clock_ms" in step:
            self._known(step, {"at_ms", "set_clock_ms"})
            self.runtime.set_back(-step["set_clock_ms"] * 1000)
        elif "flush_ms" in step:
            self._known(step, {"at_ms", "flush_ms", "flushed"})
            timeout = step["flush_ms"] if step["flush_ms"] is None else step["flush_ms"] / 1000

            def flush() -> None:
                self.flushed[number] = self.eye.flush(timeout)

            self.runtime.start(flush)
        elif "close_ms" in step:
            self._known(step, {"at_ms", "close_ms"})
            self.runtime.start(lambda: self._close(step["close_ms"] / 1000))
        else:
            self.fail(f"a step that is not known here: {step}")

    def _special(self, data: Dict[str, Any]) -> Any:
        self._known(data, {"$special", "bytes"})
        circular: Dict[str, Any] = {}
        circular["n"] = circular
        return {
            "nan": {"n": float("nan")},
            "infinity": {"n": float("inf")},
            "circular": circular,
            "lone_surrogate": {"n": "\ud800"},
            "not_an_object": [1],
            "big_integer": {"n": 123456789012345678901234567890},
            "text": {"n": "x" * data.get("bytes", 0)},
        }[data["$special"]]

    def _respond(self, request: Request) -> Response:
        answers = self._case["answers"]
        spec = answers[min(request.number, len(answers) - 1)]
        self._known(spec, {"status", "headers", "body", "rejected", "error", "after_ms"})
        after = spec.get("after_ms", 0) * 1000
        if "error" in spec:
            self.assertIn(spec["error"], ("reset", "hang"))
            return Response(None, after, hang=spec["error"] == "hang")
        events = self._events(request)
        body = spec.get("body", "")
        if "body" not in spec and spec["status"] == 202:
            rejected = spec.get("rejected", {})
            body = json.dumps(
                {
                    "received": len(events),
                    "accepted": len(events) - len(rejected),
                    "rejected": len(rejected),
                    "duplicates": 0,
                    "events": [
                        {
                            "index": int(index), "id": events[int(index)]["id"],
                            "status": "rejected",
                            "problems": [
                                {"code": code, "pointer": "", "message": "no"} for code in codes
                            ],
                        }
                        for index, codes in rejected.items()
                    ],
                }
            )
        headers = {name.lower(): value for name, value in spec.get("headers", {}).items()}
        return Response(Answer(spec["status"], headers, body.encode()), after)

    def _events(self, request: Request) -> List[Dict[str, Any]]:
        body: Dict[str, Any] = json.loads(request.body)
        self.assertEqual(list(body), ["sent_at", "events"])
        events: List[Dict[str, Any]] = body["events"]
        for event in events:
            self.assertEqual(list(event), _MEMBERS)
        return events

    def _compare(self, case: Dict[str, Any]) -> None:
        requests = self.runtime.requests
        self.assertEqual(len(requests), len(case["requests"]), "requests")
        tracked: List[str] = []
        for got, want in zip(requests, case["requests"]):
            self._known(want, {"at_ms", "events", "sent_at", "same_as", "contains"})
            match = _BODY.fullmatch(got.body)
            assert match is not None, got.body[:200]
            earliest, latest = want["at_ms"]
            self.assertLessEqual(earliest * 1000, got.at)
            self.assertLessEqual(got.at, latest * 1000)
            if "sent_at" in want:
                self.assertEqual(match[1].decode(), want["sent_at"])
            if "same_as" in want:
                same = _BODY.fullmatch(requests[want["same_as"]].body)
                self.assertEqual(match[2], same and same[2])
            if "contains" in want:
                self.assertIn(want["contains"].encode(), got.body)
            events = self._events(got)
            tracked += [event["id"] for event in events if event["id"] not in tracked]
            if "events" in want:
                self.assertEqual(len(events), len(want["events"]))
                for event, members in zip(events, want["events"]):
                    self._known(members, _MEMBERS)
                    self.assertEqual({m: event[m] for m in members}, members)
                    if "id" not in members and "id" not in case["steps"][0].get("track", {}):
                        self.assertRegex(event["id"], _UUID7)
        self.assertEqual([e.code for e in self.errors], [w["code"] for w in case.get("errors", [])])
        for error, want in zip(self.errors, case.get("errors", [])):
            self._known(want, {"code", "events"})
            self.assertEqual(error.events, want.get("events", error.events))
            self.assertNotIn("eye_w_key", error.message)
        self.assertEqual(
            [cause if cause is None else _status(cause) for cause in self.outages],
            case.get("outages", []),
        )
        for cause in self.outages:
            self.assertNotIn("eye_w_key", cause or "")
        self.assertEqual(len(self.rejected), len(case.get("rejected", [])))
        for rejection, want in zip(self.rejected, case.get("rejected", [])):
            self._known(want, {"event", "codes"})
            self.assertEqual(rejection.id, tracked[want["event"]])
            self.assertEqual(rejection.event["id"], rejection.id)
            self.assertEqual([p.code for p in rejection.problems], want["codes"])
        for number, step in enumerate(case["steps"]):
            if "flushed" in step:
                self.assertEqual(self.flushed.get(number), step["flushed"])
        self.assertEqual(self.eye.stats.queued, case["queued"])


def _status(cause: str) -> int:
    match = re.match(r"the server answered (\d+)", cause)
    return int(match[1]) if match else 0


def _method(case: Dict[str, Any]) -> Callable[[TestContract], None]:
    def method(self: TestContract) -> None:
        self.run_case(case)

    method.__doc__ = case["name"]
    return method


def _add_methods() -> None:
    files = sorted((ROOT.parent / "contract").glob("*.json"))
    if len(files) < 4:
        raise AssertionError(f"there are {len(files)} files of cases")
    for file in files:
        for number, case in enumerate(json.loads(file.read_text("utf-8"))):
            if "python" in case.get("only", ["python"]) and "python" not in case.get("except", []):
                setattr(TestContract, f"test_{file.stem}_{number:02}", _method(case))


_add_methods()
