"""HTTP client for services: rate limit, retries with backoff, size limits, and errors without the key."""

from __future__ import annotations

import email.utils
import itertools
import json
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from synaug.config import ApiOptions
from synaug.errors import EnvironmentFault, OptionError
from synaug.runtime import Json, JsonObject, missing_library, signals
from synaug.runtime.security import is_loopback, redacted

MAX_BYTES = 64 << 20  # of one response
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_WAIT = 120.0  # seconds
_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached"})  # 429 errors that waiting does not resolve
_REFUSALS = ("moderation", "content_policy", "content_filter", "safety")


class Refused(Exception):
    """The service rejects this prompt because of its content."""


class Unusable(Exception):
    """The service responded, and may have charged, but the response is not an image."""


@dataclass(frozen=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """A client of one service; safe to use from several threads."""

    def __init__(self, endpoint: str, options: ApiOptions, *, key: str | None, kind: str = "image service") -> None:
        """Check the endpoint; nothing is sent yet.

        Args:
            endpoint: address without the last part of the path.
            options: limits and retries.
            key: sent as a bearer token, only to the endpoint.
            kind: its name in errors.

        Raises:
            OptionError: the endpoint is not an http(s) URL, contains a password, or would send the key unencrypted.
            EnvironmentFault: the package httpx is missing.
        """
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise missing_library(error, "A service") or error from None
        self.endpoint = checked_endpoint(endpoint, has_key=key is not None)
        self._errors: type[Exception] = httpx.TransportError
        self._key, self._options, self._kind = key, options, kind
        self._client = httpx.Client(timeout=options.timeout, follow_redirects=False, trust_env=False)
        weakref.finalize(self, self._client.close)
        self._pace = _Pace(options.requests_per_minute)

    def post(self, path: str, content: Mapping[str, object], *, idempotency_key: str) -> Json:
        """Send JSON and return the JSON in the response.

        Raises:
            Refused: the content policy forbids the prompt.
            Unusable: the response is not JSON.
            OptionError: the service does not accept the request.
            EnvironmentFault: it cannot be reached, rejects the key, or still fails after all retries.
            Interrupted: a signal arrived while waiting.
        """
        headers = {"Idempotency-Key": idempotency_key}
        return _parsed(self._sent("POST", f"{self.endpoint}/{path}", headers=headers, content=content).body)

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> bytes:
        """Return the content at a path of the service; errors as in ``post``."""
        return self._sent("GET", f"{self.endpoint}/{path}", parameters=parameters).body

    def get_json(self, path: str) -> Json:
        """Return the JSON at a path of the service; errors as in ``post``."""
        return _parsed(self.get(path))

    def download(self, url: str) -> bytes:
        """Return the image at a URL returned by the service; the key is not sent there.

        Raises:
            Unusable: the URL is neither encrypted nor on the service's own host.
        """
        parts, own = urlsplit(url), urlsplit(self.endpoint)
        if parts.scheme != "https" and (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
            raise Unusable("the service named an address that is not https")
        return self._sent("GET", url, with_key=False).body

    def _sent(
        self,
        method: str,
        url: str,
        *,
        with_key: bool = True,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        content: Mapping[str, object] | None = None,
    ) -> _Response:
        headers = dict(headers or {})
        if with_key and self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        for attempt in itertools.count():
            self._pace.wait()
            wait: float | None = None
            try:
                response = self._once(method, url, headers, parameters, content)
            except self._errors as error:
                reason = self._shown(f"{type(error).__name__}: {error}")
            else:
                if response.status < 300:
                    return response
                reason = self._reason(response)
                if response.status not in _AGAIN or _code(response.body) in _QUOTA:
                    raise self._failure(response, reason)
                wait = retry_after(response.headers.get("retry-after"))
            if attempt >= self._options.retries:
                raise EnvironmentFault(
                    f"The {self._kind} {self._host} failed {attempt + 1} times, last: {reason}. "
                    "Finished images are saved; rerun the same command to resume."
                )
            _pause(min(_LONGEST_WAIT, wait if wait is not None else self._options.backoff * 2**attempt))
        raise AssertionError  # unreachable: the loop never ends by itself

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        parameters: Mapping[str, str] | None,
        content: Mapping[str, object] | None,
    ) -> _Response:
        with self._client.stream(method, url, headers=headers, params=parameters, json=content) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise Unusable(f"a response has more than {MAX_BYTES:,} bytes")
            return _Response(response.status_code, response.headers, bytes(body))

    def _failure(self, response: _Response, reason: str) -> Exception:
        code = _code(response.body)
        if response.status in (400, 403, 422) and any(word in code for word in _REFUSALS):
            return Refused(reason)
        if response.status in (401, 403):
            return EnvironmentFault(
                f"The {self._kind} {self._host} rejects the key ({reason}). "
                f"Set the environment variable {self._options.key_variable}."
            )
        if 300 <= response.status < 400:
            return EnvironmentFault(f"The {self._kind} {self._host} redirects elsewhere ({reason}). Set api.endpoint.")
        if code in _QUOTA:
            return EnvironmentFault(f"The account at {self._host} has no credit left ({reason}).")
        return OptionError(f"The {self._kind} {self._host} does not accept the request: {reason}.")

    @property
    def _host(self) -> str:
        return urlsplit(self.endpoint).netloc

    def _reason(self, response: _Response) -> str:
        message = _error_of(response.body).get("message") or ""
        return self._shown(f"HTTP {response.status} {message}".strip())

    def _shown(self, text: str) -> str:
        """Return text from the service as one short printable line without the key."""
        if self._key:
            text = text.replace(self._key, "***")
        line = "".join(char if char.isprintable() else " " for char in redacted(text))
        return line if len(line) <= 200 else f"{line[:200]}..."


class _Pace:
    """Spaces out the starts of requests, across all threads."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next, self._lock = 0.0, threading.Lock()

    def wait(self) -> None:
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap
        _pause(start - now)


def _pause(seconds: float) -> None:
    """Sleep, unless a signal requests a stop."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        signals.stop_here()
        time.sleep(min(0.2, left))


def checked_endpoint(endpoint: str, *, has_key: bool) -> str:
    """Return the endpoint without a trailing slash.

    >>> checked_endpoint("http://127.0.0.1:8000/v1/", has_key=True)
    'http://127.0.0.1:8000/v1'

    Raises:
        OptionError: it is not an http(s) URL, contains a password, or would send the key unencrypted.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OptionError(f"api.endpoint must be an http or https address, got {redacted(endpoint)!r}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise OptionError("api.endpoint must not contain a user, password or query; set the key in the environment.")
    if has_key and parts.scheme == "http" and not is_loopback(parts.hostname):
        raise OptionError(f"api.endpoint {endpoint!r} would send your key unencrypted; use https.")
    return endpoint.rstrip("/")


def retry_after(value: str | None, *, now: float | None = None) -> float | None:
    """Return the seconds to wait in a Retry-After header, which is a number or a date.

    >>> retry_after("2"), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=50.0), retry_after("soon")
    (2.0, 10.0, None)
    """
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def _parsed(body: bytes) -> Json:
    try:
        content: Json = json.loads(body)
        return content
    except (ValueError, RecursionError):
        raise Unusable("the answer is not JSON") from None


def _error_of(body: bytes) -> JsonObject:
    try:
        answer = _parsed(body)
    except Unusable:
        return {}
    if not isinstance(answer, dict) or "error" not in answer:
        return {}
    error = answer["error"]
    return error if isinstance(error, dict) else {"message": str(error)}


def _code(body: bytes) -> str:
    """Return the error code in a response, or its type if it has no code."""
    error = _error_of(body)
    return str(error.get("code") or error.get("type") or "").lower()
