import json
import logging
from typing import Any, Dict, List
from unittest import mock

from .test_client import Virtual
from .virtual import Request, Response

from theeye import LogHandler, session
from theeye._answer import Answer


class TestLogHandler(Virtual):
    def setUp(self) -> None:
        self.logger = logging.getLogger("shop.checkout")
        self.logger.propagate = False
        self.logger.setLevel(logging.DEBUG)

    def attach(self, handler: logging.Handler, name: str = "shop.checkout") -> None:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        self.addCleanup(lambda: logger.removeHandler(handler))

    def events(self) -> List[Dict[str, Any]]:
        self.pass_seconds(1)
        return [e for r in self.runtime.requests for e in json.loads(r.body)["events"]]

    def test_records_are_events(self) -> None:
        self.attach(LogHandler(self.make(), logging.INFO, category="app log"))
        with session("a7"):
            self.logger.debug("below the level")
            self.logger.warning("%d items, file %s", 3, "bad\udcff", extra={"secret": "x"})
        try:
            raise KeyError("missing")
        except KeyError:
            self.logger.exception("it failed")
        warning, failed = self.events()
        self.assertEqual((warning["category"], warning["name"]), ("app log", "warning"))
        self.assertEqual(warning["session_id"], "a7")
        line = warning["data"].pop("line")
        self.assertGreater(line, 10)
        self.assertEqual(
            warning["data"],
            {"logger": "shop.checkout", "message": "3 items, file bad\\udcff",
             "file": "test_logs.py"},
        )
        self.assertEqual(failed["name"], "error")
        self.assertIn("KeyError: 'missing'", failed["data"]["exception"])

    def test_records_that_cannot_be_formatted(self) -> None:
        handler = LogHandler(self.make())
        self.attach(handler)
        with mock.patch.object(handler, "handleError") as handle:
            self.logger.info("%d", "text")
        handle.assert_called_once()
        self.assertEqual(self.events(), [])

    def test_the_clients_own_logs_are_passed_over(self) -> None:
        """Without that, each failure would be an event that fails."""
        told: List[str] = []

        def on_error(failure: Any) -> None:
            told.append(failure.code)
            self.logger.error("the client says %s", failure.message)
            logging.getLogger("theeye").error("the client says %s", failure.message)

        def respond(request: Request) -> Response:
            return Response(Answer(400, {}, b""))

        eye = self.make(respond, on_error=on_error)
        handler = LogHandler(eye)
        self.attach(handler)
        for name in ("theeye", "theeye.mine", "theeyes"):
            self.attach(handler, name)
            logging.getLogger(name).propagate = False
            logging.getLogger(name).warning("hello")
        self.logger.info("an event")
        self.pass_seconds(3600)
        self.assertEqual(told, ["refused"])
        self.assertEqual([e["data"]["logger"] for e in self.events()], ["theeyes", "shop.checkout"])
