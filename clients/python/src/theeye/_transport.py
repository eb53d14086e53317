"""Sends requests over HTTP."""

# socket looks up hosts with this codec, and would import it in the client's thread; a process that
# is forked meanwhile could never import it.
import encodings.idna  # noqa: F401
import gzip
import http.client
import os
import re
import socket
import ssl
import time
from typing import Optional
from urllib.parse import urlsplit

from ._answer import Answer

# Smaller bodies are not compressed.
_COMPRESSED = 1024
# The Eye closes a connection that was idle for two minutes, and proxies earlier.
_IDLE = 15.0
# An answer is never so long; what is longer comes from something else.
_LONGEST_ANSWER = 16 << 20


class HTTPTransport:
    """Posts bodies to one address, one at a time, over a connection that it keeps.

    abort may be called from another thread. It uses no proxy.
    """

    def __init__(self, url: str, key: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except (ValueError, TypeError, AttributeError):
            host, port = None, None
        if not host or parts.scheme not in ("http", "https"):
            raise ValueError("url is not a valid http or https address")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("url has more than a scheme, a host, a port and a path")
        if not re.fullmatch("[!-~]*", parts.path):
            raise ValueError("the path of url is not percent-encoded")
        if not isinstance(key, str) or not re.fullmatch("[!-~]+", key):
            raise ValueError("key is not a valid key")
        self._host = host
        self._port = port
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = parts.path.rstrip("/") + "/v1/events?quiet=1"
        self._headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
        self._connection: Optional[http.client.HTTPConnection] = None
        self._used = 0.0
        self._aborted = False

    def post(self, body: bytes, timeout: float) -> Answer:
        """Returns the answer. It raises OSError or http.client.HTTPException when none comes
        within timeout seconds; connecting to each of a host's addresses may take as long."""
        deadline = time.monotonic() + timeout
        headers = self._headers
        if len(body) >= _COMPRESSED:
            body = gzip.compress(body, mtime=0)
            headers = {**headers, "Content-Encoding": "gzip"}
        try:
            connection = self._connect(timeout)
            connection.sock.settimeout(_left(deadline))
            connection.request("POST", self._path, body, headers)
            sock = connection.sock
            sock.settimeout(_left(deadline))
            response = connection.getresponse()
            content = bytearray()
            while not response.isclosed():
                sock.settimeout(_left(deadline))
                content += response.read(1 << 16)
                if len(content) > _LONGEST_ANSWER:
                    raise http.client.HTTPException("the answer is too long")
            if response.length:
                raise http.client.IncompleteRead(bytes(content), response.length)
        except BaseException:
            self._drop()
            raise
        self._used = time.monotonic()
        if response.will_close:
            self._drop()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, bytes(content))

    def abort(self) -> None:
        """Ends the request that is under way, and every later one, with an error."""
        self._aborted = True
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is not connected any more

    def close(self) -> None:
        """Closes the connection. No request may be under way."""
        self._drop()

    def forget(self) -> None:
        """Closes this process's copy of a connection that belongs to its parent process."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.sock is not None:
            os.close(connection.sock.detach())

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self._connection is not None and time.monotonic() - self._used > _IDLE:
            self._drop()
        if self._connection is None:
            connection = (
                http.client.HTTPConnection(self._host, self._port, timeout=timeout)
                if self._tls is None
                else http.client.HTTPSConnection(
                    self._host, self._port, timeout=timeout, context=self._tls
                )
            )
            self._connection = connection
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._aborted:
            raise ConnectionAbortedError("the client was closed")
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the request timed out")
    return left
