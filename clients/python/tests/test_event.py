import ast
import collections
import enum
import json
import types
import unittest
from datetime import datetime, timedelta, timezone
from typing import Any, Iterator, List, Mapping, Tuple

from . import ROOT

from theeye._clock import Clock
from theeye._event import close_event, encode_head, encode_time, format_time, uuid7
from theeye._queue import Sequence


def data(value: Any) -> str:
    head = encode_head("i", "s", "c", "n", value).decode()
    return head[len('{"id":"i","session_id":"s","category":"c","name":"n","data":') :]


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Broken(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise OSError("the disk is on fire")

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class TestEncoding(unittest.TestCase):
    def test_values(self) -> None:
        values: List[Tuple[Any, str]] = [
            (None, "{}"),
            ({}, "{}"),
            ({"a": [1, (2, 3.5), True, None, "ü \"\n\x00\u2028"]},
             '{"a":[1,[2,3.5],true,null,"ü \\"\\n\\u0000\u2028"]}'),
            ({"n": 2**63}, '{"n":9223372036854775808}'),
            ({"n": -(10**60)}, '{"n":-1' + "0" * 60 + "}"),
            ({"n": 1e300}, '{"n":1e+300}'),
            ({"e": Level.HIGH}, '{"e":3}'),
            ({Colour.RED: 1}, '{"red":1}'),
            (collections.OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
            (types.MappingProxyType({"a": 1}), '{"a":1}'),
        ]
        for value, want in values:
            with self.subTest(value=value):
                self.assertEqual(data(value), want)

    def test_values_that_have_no_form(self) -> None:
        circular: List[Any] = []
        circular.append(circular)
        deep: Any = []
        for _ in range(100_000):
            deep = [deep]
        values: List[Any] = [
            "text", 1, [1], True,
            {"n": float("nan")}, {"n": [-float("inf")]}, {"a": circular}, {"a": deep},
            {"t": "\ud800"}, {"\udfff": 1}, {1: "a"}, {"a": [{None: 1}]}, {"a": ({True: 1},)},
            {"a": {"b": {2.5: 1}}}, {b"a": 1}, {"a": b"b"}, {"a": {1, 2}}, {"a": object()},
            {"a": datetime.now(timezone.utc)}, Broken(),
        ]
        for value in values:
            with self.subTest(value=str(type(value))), self.assertRaises(Exception):
                encode_head("i", "s", "c", "n", value)

    def test_members_are_texts(self) -> None:
        for call in [(1, "s", "c", "n"), ("i", b"s", "c", "n"), ("i", "s", None, "n"),
                     ("i", "s", "c", 2), ("i", "s", "\ud800", "n")]:
            with self.subTest(call=call), self.assertRaises((TypeError, ValueError)):
                encode_head(*call, None)  # type: ignore[arg-type]

    def test_members_are_in_order(self) -> None:
        event = close_event(encode_head('i"', "s", "c", "n", {"a": 1}), '"now"', 7, "me")
        want = {"id": 'i"', "session_id": "s", "category": "c", "name": "n", "data": {"a": 1},
                "timestamp": "now", "seq": 7, "sender": "me"}
        self.assertEqual(list(json.loads(event).items()), list(want.items()))

    def test_times(self) -> None:
        self.assertEqual(format_time(1_767_323_045_000_001), "2026-01-02T03:04:05.000001Z")
        self.assertEqual(encode_time("2026-01-02 03:04"), '"2026-01-02 03:04"')
        self.assertEqual(encode_time('"'), '"\\""')
        self.assertEqual(encode_time("ü"), '"\\u00fc"')
        zone = timezone(timedelta(hours=2))
        moment = datetime(2026, 1, 2, 3, 4, 5, 6, zone)
        self.assertEqual(encode_time(moment), '"2026-01-02T01:04:05.000006Z"')
        with self.assertRaises(ValueError):
            encode_time(datetime(2026, 1, 2))
        with self.assertRaises(TypeError):
            encode_time(1767323045)  # type: ignore[arg-type]

    def test_ids_differ_and_have_the_time(self) -> None:
        before = datetime.now().timestamp()
        ids = {uuid7() for _ in range(10_000)}
        self.assertEqual(len(ids), 10_000)
        for id in ids:
            self.assertEqual((len(id), id[14]), (36, "7"))
            self.assertIn(id[19], "89ab")
            self.assertAlmostEqual(int(id.replace("-", "")[:12], 16) / 1000, before, delta=60)


class TestClock(unittest.TestCase):
    def test_drift_is_no_setting_back(self) -> None:
        wall, monotonic = 10**15, 0
        clock = Clock(lambda: wall, lambda: monotonic)
        _, era = clock.stamp()
        for _ in range(200):  # half a second behind, again and again
            monotonic += 1_000_000
            wall += 500_000
            _, now = clock.stamp()
            self.assertIs(now, era)
        self.assertEqual(clock.sent_at(era), wall)

    def test_small_steps_add_up(self) -> None:
        wall, monotonic = 10**15, 0
        clock = Clock(lambda: wall, lambda: monotonic)
        first, era = clock.stamp()
        wall -= 40_000_000
        self.assertEqual(clock.stamp(), (first + 1, era))
        wall -= 40_000_000
        stamp, now = clock.stamp()
        self.assertIsNot(now, era)
        self.assertEqual(stamp, wall)
        self.assertEqual(clock.sent_at(era), 10**15)


class TestSequence(unittest.TestCase):
    def test_counts_are_bounded(self) -> None:
        sequence = Sequence()
        sender = sequence.sender
        self.assertEqual([sequence.next("a"), sequence.next("b"), sequence.next("a")], [1, 1, 2])
        sessions = 0
        while sequence.sender == sender:
            sequence.next(f"session {sessions}")
            sessions += 1
        self.assertGreater(sessions, 50_000)
        self.assertLess(sessions, 120_000)
        self.assertEqual(sequence.next("a"), 1)


class TestSyntax(unittest.TestCase):
    def test_sources_are_python_3_9(self) -> None:
        files = list(ROOT.rglob("*.py"))
        self.assertGreater(len(files), 15)
        for file in files:
            ast.parse(file.read_text("utf-8"), str(file), feature_version=(3, 9))
