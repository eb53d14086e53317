"""The snippets and examples of the documents work."""

import asyncio
import contextlib
import io
import logging
import os
import re
import runpy
import signal
import unittest
from typing import Any, Dict, List
from unittest import mock
from wsgiref.util import setup_testing_defaults

from . import ROOT
from .server import Server

from theeye import Eye


class TestDocuments(unittest.TestCase):
    def setUp(self) -> None:
        self.server = self.enter(Server())
        environ = {"EYE_URL": self.server.url, "EYE_KEY": "eye_w_key"}
        self.enter(mock.patch.dict(os.environ, environ))
        self.printed = self.enter(contextlib.redirect_stdout(io.StringIO()))
        self.enter(mock.patch.object(logging.getLogger(), "handlers", []))

    def enter(self, context: Any) -> Any:  # enterContext, which is new in Python 3.11
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def names(self) -> List[str]:
        return [event["name"] for event in self.server.events]

    def snippets(self, path: str) -> List[str]:
        text = (ROOT / path).read_text("utf-8")
        return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)

    def call_wsgi(self, application: Any) -> bytes:
        environ: Dict[str, Any] = {}
        setup_testing_defaults(environ)
        return b"".join(application(environ, lambda *_: None))

    def call_asgi(self, application: Any) -> bytes:
        sent: List[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(application({"type": "http", "path": "/", "headers": []}, None, send))
        return bytes(sent[1]["body"])

    def test_readme(self) -> None:
        first, *others = self.snippets("README.md")
        names: Dict[str, Any] = {}
        exec(first, names)
        self.assertEqual(names["eye"].stats.accepted, 1)
        names["eye"] = Eye(url=self.server.url, key="k", on_error=print)
        for snippet in others:
            exec(snippet, names)
        self.assertEqual(self.call_wsgi(names["app"]), b"Hello")
        self.assertTrue(names["eye"].close())
        self.assertEqual(self.names(), ["pageview", "paid", "began", "warning", "pageview"])
        self.assertEqual(self.server.events[1]["id"], "order-17")
        self.assertEqual(self.server.events[2]["session_id"], "job-4711")
        self.assertEqual(self.printed.getvalue(), "")

    def test_guide(self) -> None:
        names: Dict[str, Any] = {}
        snippets = self.snippets("../../docs/guides/client-python.md")
        self.assertEqual(len(snippets), 6)
        self.addCleanup(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        for snippet in snippets:
            exec(snippet, names)
            if "SIGTERM" in snippet:
                with self.assertRaises(SystemExit):
                    os.kill(os.getpid(), signal.SIGTERM)
            if "def shop(environ" in snippet:
                self.assertEqual(self.call_wsgi(names["application"]), b"Welcome to the shop\n")
            if "def shop(scope" in snippet:
                self.assertEqual(self.call_asgi(names["application"]), b"Welcome to the shop\n")
        want = ["pageview", "pageview", "pageview", "began", "ended", "warning"]
        self.assertEqual(self.names(), want)
        self.assertEqual(self.printed.getvalue(), "1\n")

    def test_first(self) -> None:
        runpy.run_path(str(ROOT / "examples/first.py"), run_name="__main__")
        self.assertEqual(self.names(), ["pageview"])
        self.assertIn("accepted=1", self.printed.getvalue())

    def test_wsgi_app(self) -> None:
        names = runpy.run_path(str(ROOT / "examples/wsgi_app.py"))
        self.assertEqual(self.call_wsgi(names["application"]), b"Welcome to the shop\n")
        self.assertTrue(names["eye"].close())
        self.assertEqual(self.names(), ["pageview"])

    def test_asgi_app(self) -> None:
        names = runpy.run_path(str(ROOT / "examples/asgi_app.py"))
        self.assertEqual(self.call_asgi(names["application"]), b"Welcome to the shop\n")

        async def lifespan() -> List[str]:
            sent: List[str] = []

            async def receive() -> Any:
                return {}

            async def send(message: Any) -> None:
                sent.append(message["type"])

            await names["application"]({"type": "lifespan"}, receive, send)
            return sent

        want = ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        self.assertEqual(asyncio.run(lifespan()), want)
        self.assertEqual(self.names(), ["pageview"])
