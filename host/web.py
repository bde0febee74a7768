"""A page and its requests, over HTTP, for this machine alone."""

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .errors import Busy, HostError, Rejected
from .terminal import one_line

__all__ = ["PAGE", "Server", "policy"]

PAGE = Path(__file__).with_name("page.html")
"""The page: one file, which needs no other."""

_ADDRESS = "127.0.0.1"

_SECONDS = 30
"""Seconds that the other end may take to send a request, or to take an answer."""


def policy(page: str) -> str:
    """The Content-Security-Policy of a page: it may run its own scripts, use its own styles and ask
    its own server, and nothing else."""
    sources = {tag: " ".join(f"'sha256-{_digest(text)}'" for text in
                             re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL))
               for tag in ("script", "style")}
    return (f"default-src 'none'; script-src {sources['script']}; style-src {sources['style']}; "
            f"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


def _digest(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class Server(ThreadingHTTPServer):
    """Serves the page, ``/facts`` and ``/infer`` on 127.0.0.1.

    Parameters
    ----------
    port : 0 for any that is free
    infer : from the JSON object of ``POST /infer`` to the answer; called in many threads. A
        :class:`~host.errors.Rejected` is the request's fault, any other
        :class:`~host.errors.HostError` the device's
    most : bytes of the largest request

    Raises
    ------
    HostError
        If the port is taken, or may not be used.
    """

    daemon_threads = True

    def __init__(self, port: int, infer: Callable[[dict], dict], most: int) -> None:
        self.infer, self.most = infer, most
        self.facts: dict = {}
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.page = PAGE.read_text(encoding="utf-8")
        self.policy = policy(self.page)
        try:
            super().__init__((_ADDRESS, port), _Handler)
        except OSError as error:
            raise HostError(f"{_ADDRESS}:{port}: {error.strerror}; give another port with "
                            f"--listen") from error
        # A name that leads here, of whatever site, is none of these (DNS rebinding).
        self.names = {f"{name}:{self.server_port}" for name in (_ADDRESS, "localhost")}

    @property
    def address(self) -> str:
        """The page's."""
        return f"http://{_ADDRESS}:{self.server_port}/"

    def start(self, facts: dict) -> None:
        """Answer requests, in threads, until the context ends.

        Parameters
        ----------
        facts : answer to ``GET /facts``
        """
        self.facts = facts
        self._thread.start()

    def server_close(self) -> None:
        """Answer no more requests."""
        if self._thread.is_alive():
            self.shutdown()
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing if the other end has gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """A request, whose errors are one line of JSON."""

    server: Server
    timeout = _SECONDS

    def do_GET(self) -> None:
        if not self._from_here():
            return
        match self.path:
            case "/":
                self._send(200, "text/html; charset=utf-8", self.server.page.encode())
            case "/facts":
                self._say(200, self.server.facts)
            case _:
                self.send_error(404, "there is no such page")

    def do_POST(self) -> None:
        if not self._from_here():
            return
        if self.path != "/infer":
            self.send_error(404, "there is no such page")
            return
        try:
            self._say(200, self.server.infer(self._body()))
        except _Refused as refusal:
            self.send_error(*refusal.args)
        except Rejected as error:
            self.send_error(400, str(error))
        except Busy as error:
            self.send_error(503, str(error))
        except HostError as error:
            self.send_error(502, str(error))

    def _from_here(self):
        """Whether the request is to this server, and from its own page or from no page at all."""
        hosts, origins = (self.headers.get_all(name, []) for name in ("Host", "Origin"))
        if len(hosts) == 1 and hosts[0] in self.server.names and (
                not origins or origins == [f"http://{hosts[0]}"]):
            return True
        self.send_error(403, f"this page is at {self.server.address} and answers no other site")
        return False

    def _body(self):
        """The JSON object that was sent."""
        if self.headers.get_content_type() != "application/json":
            raise _Refused(415, "the request must be application/json")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,18}", length) or "Transfer-Encoding" in self.headers:
            raise _Refused(411, "the request must have a Content-Length, and no "
                                "Transfer-Encoding")
        if int(length) > self.server.most:
            raise _Refused(413, f"the request must have at most {self.server.most} bytes, not "
                                f"{length}")
        text = self.rfile.read(int(length))
        try:
            request = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _Refused(400, f"the request is not JSON: {error}") from error
        if not isinstance(request, dict):
            raise _Refused(400, "the request must be a JSON object")
        return request

    def send_error(self, code: int, message: str | None = None, explain: str | None = None
                   ) -> None:
        """Answer with an error of one line."""
        self.close_connection = True
        self._say(code, {"error": one_line(message or self.responses[code][0])})

    def _say(self, code, answer):
        self._send(code, "application/json", json.dumps(answer).encode() + b"\n")

    def _send(self, code, kind, body):
        self.send_response(code)
        for name, value in {
                "Content-Type": kind, "Content-Length": str(len(body)),
                "Content-Security-Policy": self.server.policy, "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-store"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """What the header `Server` says."""
        return "spikeloom"

    def log_message(self, *_: object) -> None:
        """Keep quiet: the page shows errors."""


class _Refused(Exception):
    """A status, and why a request was not understood."""
