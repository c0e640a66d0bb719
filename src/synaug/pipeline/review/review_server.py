"""Serve a review session to a browser on this machine, and to nobody else.

The server listens on the loopback interface only. Every address starts with a random token, which other users of the
machine and other web pages do not know. Requests whose ``Host`` is not this server are refused, so that no
foreign domain can be pointed at it (DNS rebinding); changes must come from the page itself (``Origin``). The pages
load nothing from elsewhere.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import unquote

from synaug.errors import EnvironmentFault, OptionError, SynaugError
from synaug.pipeline.review.review_session import ReviewSession
from synaug.runtime import without_nan
from synaug.runtime.security import visible

LOOPBACK = "127.0.0.1"
MAX_BODY = 4_000_000  # bytes; 50,000 ids at once
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SCRIPTS = ("review", "decisions", "elements", "layout")
_ASSETS = {
    "": ("review.html", "text/html; charset=utf-8"),
    "review.css": ("review.css", "text/css; charset=utf-8"),
    **{f"{name}.js": (f"{name}.js", "text/javascript; charset=utf-8") for name in _SCRIPTS},
}
_PICTURE = re.compile(r"(thumbnail|whole)/(real|image)/([^/]{1,255})")
_SAME_SITE = {None, "none", "same-origin"}


class ReviewServer:
    """A running server: ``url`` opens the page. Use it as a context manager."""

    def __init__(self, session: ReviewSession, *, port: int = 0) -> None:
        """Listen on the port; 0 takes a free one.

        Raises:
            EnvironmentFault: the port is in use or not allowed.
        """
        self.token = secrets.token_urlsafe(24)
        try:
            self._server = _Server(port, session, self.token)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise EnvironmentFault(f"Port {port} cannot be used: {why}. Choose another with --port.") from error
        self.port = int(self._server.server_address[1])
        self.url = f"http://{LOOPBACK}:{self.port}/{self.token}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def __enter__(self) -> ReviewServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, session: ReviewSession, token: str) -> None:
        self.session, self.token = session, token
        super().__init__((LOOPBACK, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that closed a connection; anything else is a bug and must be seen."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    """Answers requests about the session of its server."""

    server: _Server
    protocol_version = "HTTP/1.1"  # one connection for many thumbnails
    timeout = 120  # seconds that an idle connection stays open

    def version_string(self) -> str:
        return "synaug"

    def log_message(self, *_: Any) -> None:
        """Log nothing: the address contains the token."""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, respond: Callable[[str], tuple[str, bytes, str]]) -> None:
        try:
            kind, content, cache = respond(self._checked_path())
            self._send(HTTPStatus.OK, kind, content, cache)
        except _Refused as refused:
            self._send_error(refused.status, str(refused))
        except OptionError as error:
            self._send_error(HTTPStatus.BAD_REQUEST, str(error))
        except SynaugError as error:
            self._send_error(HTTPStatus.CONFLICT, str(error))

    def _checked_path(self) -> str:
        """Return the path after the token, or raise an error with the reason for refusing the request."""
        port = self.server.server_address[1]
        hosts = {f"{LOOPBACK}:{port}", f"localhost:{port}"}
        if self.headers.get("Host") not in hosts:
            raise _Refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"This server answers to {LOOPBACK}:{port} only. Through a tunnel, use the same port on both ends.",
            )
        given, slash, rest = self.path.partition("?")[0].removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(given.encode(), self.server.token.encode()):
            raise _Refused(HTTPStatus.FORBIDDEN, "The token is missing or wrong. Open the address that was printed.")
        if self.headers.get("Sec-Fetch-Site") not in _SAME_SITE:
            raise _Refused(HTTPStatus.FORBIDDEN, "Other sites may not use this page.")
        origin = self.headers.get("Origin")
        if (self.command == "POST" or origin is not None) and origin not in {f"http://{host}" for host in hosts}:
            raise _Refused(HTTPStatus.FORBIDDEN, "Other sites may not use this page.")
        return rest

    def _get(self, path: str) -> tuple[str, bytes, str]:
        if path in _ASSETS:
            name, kind = _ASSETS[path]
            return kind, resources.files("synaug").joinpath("assets/review", name).read_bytes(), "no-store"
        if path == "catalog.json":
            return _json(self.server.session.catalog())
        match = _PICTURE.fullmatch(unquote(path))
        if match is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        size, source, name = match.groups()
        try:
            if source == "real":
                number = int(name) if name.isascii() and name.isdigit() else -1
                kind, data = self.server.session.real_picture(number, whole=size == "whole")
            else:
                kind, data = self.server.session.picture(name, whole=size == "whole")
        except KeyError:
            raise _Refused(HTTPStatus.NOT_FOUND, f"There is no image {visible(name)}.") from None
        return kind, data, "private, max-age=3600"

    def _post(self, path: str) -> tuple[str, bytes, str]:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > MAX_BODY:
            self.close_connection = True  # the body stays unread
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request has at most {MAX_BODY:,} bytes.")
        body = self.rfile.read(int(length))
        if path != "actions":
            raise _Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Actions are sent as application/json.")
        try:
            actions = json.loads(body)
        except (ValueError, RecursionError):
            raise OptionError("The actions are not valid JSON.") from None
        if not isinstance(actions, list):
            raise OptionError("The actions must be a list.")
        return _json(self.server.session.perform(actions))

    def _send(self, status: HTTPStatus, kind: str, content: bytes, cache: str) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", cache)
        self.end_headers()
        self.wfile.write(content)

    def _send_error(self, status: HTTPStatus, message: str) -> None:
        if self.command == "POST":
            self.close_connection = True  # of a refused request the body was not read
        self._send(status, "application/json", json.dumps({"error": visible(message)}).encode(), "no-store")


def _json(content: dict[str, Any]) -> tuple[str, bytes, str]:
    text = json.dumps(without_nan(content), ensure_ascii=False, separators=(",", ":"))
    return "application/json", text.encode("utf-8", "backslashreplace"), "no-store"
