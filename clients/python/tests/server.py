"""A server on a port of this machine that accepts every event, unless it is told otherwise."""

import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Optional, Tuple


class Server:
    """Is a context manager. respond is called for each request, with its handler and its events;
    when it returns False, the server accepts them."""

    def __init__(
        self, respond: Callable[["Handler", List[Dict[str, Any]]], bool] = lambda *_: False
    ) -> None:
        self.requests: List[Tuple[Dict[str, str], bytes]] = []
        self.events: List[Dict[str, Any]] = []
        self.paths: List[str] = []
        self.connections = 0
        self._respond = respond
        self._lock = threading.Lock()
        self.http = _HTTPServer(("127.0.0.1", 0), lambda *args: Handler(self, *args))
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.http.shutdown()
        self.http.server_close()
        self._thread.join()

    def handle(self, handler: "Handler") -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        length = int(headers["content-length"])
        body = handler.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the client has gone")
        with self._lock:
            self.requests.append((headers, body))
            self.paths.append(handler.path)
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        events = json.loads(body)["events"]
        if self._respond(handler, events):
            return
        with self._lock:
            self.events += events
        handler.answer(202, json.dumps({"received": len(events), "events": []}).encode())


class _HTTPServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # the client has gone
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, server: Server, *args: Any) -> None:
        self._server = server
        super().__init__(*args)

    def setup(self) -> None:
        super().setup()
        self._server.connections += 1

    def do_POST(self) -> None:
        self._server.handle(self)

    def answer(
        self, status: int, body: bytes, headers: Optional[Dict[str, str]] = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
