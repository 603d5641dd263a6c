"""Send one HTTP request and get the whole reply, or say what went wrong: for all sides.

Certificates are always checked, no redirect is followed, proxies of the environment are not
used. A call has a total deadline and a cap on its reply, also after decompression. What may
be sent twice is tried again, with growing pauses or when the side asks for it.

This sits on httpx's transport rather than its client, whose cookies, redirects and merging
of URLs would cost a third more per call and are not wanted here. The time-outs that httpx
hands down are for one read each, so that a reply which drips would never end: ours are moments,
the same for all reads of a call.
"""

import ipaddress
import random
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import httpcore
import httpx
import structlog

from syncd import clock
from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    QuotaError,
    StoppedError,
    SyncdError,
    TemporaryError,
)

T = TypeVar("T")

FOREIGN: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
"""Everything that httpx raises."""

_CONNECT_S: Final = 10.0
_IDLE_S: Final = 5.0  # a connection that rests longer may be closed at the other end
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_SENT: Final = (
    httpx.NetworkError,
    httpx.TimeoutException,
    httpx.RemoteProtocolError,
    httpx.DecodingError,
)
_HAVE_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_STEP_S: Final = 0.1  # how long it may take until a pause hears that it is to end
_GZIP_WINDOW: Final = 31  # zlib's number for gzip framing and any window


class UnreadableReplyError(ConfigurationError):
    """A reply came, of which no side makes sense; what was asked for may have been done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where a side is and how patiently it is asked.

    `timeout_s` is for one call, from connecting to the last byte received; `wait_s` is the
    pause after the first failure, doubled after each further one, up to `max_wait_s`. An empty
    reply counts as one that was cut, except where it `may_be_empty`.
    """

    url: str
    timeout_s: float = 120.0
    attempts: int = 5
    wait_s: float = 1.0
    max_wait_s: float = 60.0
    requests_per_second: float | None = None
    max_reply_bytes: int = 50 * 2**20
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply, its body decompressed; `headers` ignores the case of names."""

    status: int
    body: bytes
    headers: Mapping[str, str]


log = structlog.get_logger()


def never() -> bool:
    """Say that nobody asks to stop."""
    return False


class Transport:
    """The way to one side: one object per side, so that its rate is kept by all who use it."""

    def __init__(
        self,
        options: Options,
        *,
        before_each: Callable[[], None] | None = None,
        stop: Callable[[], bool] = never,
    ) -> None:
        """Check the address, without connecting yet.

        `before_each` is called before every request, repeated ones too; what it raises
        ends the call. `stop` ends pauses: whoever asks to stop waits for the call that is under
        way, and for none after it.

        Raises:
            ConfigurationError: the address can't be used.
        """
        self._options = options
        self._url = check_url(options.url)
        self._before_each = before_each
        self._stop = stop
        rate = options.requests_per_second
        self._pause_s = 1.0 / rate if rate else 0.0
        self._next_start_s = 0.0
        # With a stream for its body, httpx leaves all headers to us, which costs it less.
        self._headers = {
            "Host": self._url.netloc.decode(),
            "Accept-Encoding": "gzip",
            "User-Agent": "syncd",
        }
        self._http = _Connections(_trust(self._url))

    @property
    def host(self) -> str:
        """The side's host, for messages."""
        return self._url.host

    def post(self, body: bytes, *, headers: Mapping[str, str], repeatable: bool) -> Reply:
        """Send a body and return the reply, whatever its status but a redirect."""
        return self.call(body, headers=headers, read=lambda reply: reply, repeatable=repeatable)

    def call(
        self,
        body: bytes,
        *,
        headers: Mapping[str, str],
        read: Callable[[Reply], T],
        repeatable: bool,
        method: str = "POST",
        path: str = "",
    ) -> T:
        """Send a body and read the reply; both are tried again where that may help.

        `read` makes a value of the reply, or raises one of our errors: a TemporaryError is
        tried again, an AmbiguousError only where the call is `repeatable`. `path` is put
        behind the side's own address.

        Raises:
            TemporaryError: the side could not be reached, or `read` said so to the last.
            AmbiguousError: the request went out and its answer was lost.
            StoppedError: somebody asked to stop while the call waited for its turn, or for its
                next try.
            ConfigurationError: it can't be sent, or is answered by a redirect.
            UnreadableReplyError: a reply that can't be the protocol's.
        """
        url = httpx.URL(f"{self._url}{path}") if path else self._url
        merged = httpx.Headers({**self._headers, **headers})
        if body or method in _HAVE_BODY:
            merged["Content-Length"] = str(len(body))
        stream = httpx.ByteStream(body)

        failures = 0
        while True:
            try:
                return read(self._send(httpx.Request(method, url, headers=merged, stream=stream)))
            except TemporaryError as error:
                failures += 1
                if failures >= self._options.attempts or not _helped(error, repeatable=repeatable):
                    raise
                wait_s = self._wait_s(error, failures)
                # Not the exception's text: it may hold an address.
                log.debug(
                    "call.retried",
                    attempt=failures,
                    wait_s=round(wait_s, 3),
                    error=type(error).__name__,
                )
                self.pause(wait_s)

    def pause(self, wait_s: float) -> None:
        """Wait, for a call that comes after one that was made.

        Raises:
            StoppedError: somebody asked to stop.
        """
        while True:
            if self._stop():
                raise StoppedError(f"Asked to stop before the next call to {self.host}.")
            if wait_s <= 0:
                return
            time.sleep(min(wait_s, _STEP_S))
            wait_s -= _STEP_S

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def _wait_s(self, error: TemporaryError, failures: int) -> float:
        """Return how long to wait after so many failures, the last of them this one."""
        if error.retry_after_s is not None:
            return min(error.retry_after_s, self._options.max_wait_s)
        doubled_s = self._options.wait_s * 2.0 ** min(failures - 1, 64)
        jitter_s = random.uniform(0, self._options.wait_s)  # noqa: S311  (no secret)
        return min(doubled_s + jitter_s, self._options.max_wait_s)

    def _send(self, request: httpx.Request) -> Reply:
        self._wait_turn()
        if self._before_each is not None:
            self._before_each()
        limit_s, now_s = self._options.timeout_s, clock.monotonic_s()
        until_s = now_s + limit_s
        request.extensions["timeout"] = {
            "pool": limit_s,
            "connect": min(now_s + _CONNECT_S, until_s),
            "write": until_s,
            "read": until_s,
        }
        try:
            response = self._http.handle_request(request)
            try:
                body = b"".join(self._chunks(response))
            finally:
                response.close()
        except httpx.LocalProtocolError:
            # Its text may quote a header, so it is not chained.
            raise self._cannot_send() from None
        except FOREIGN as error:
            raise self._fault_of(error) from error
        if 300 <= response.status_code < 400:  # noqa: PLR2004
            raise _fault_of_class(response.status_code, self.host)
        if response.status_code == 200 and not body and not self._options.may_be_empty:  # noqa: PLR2004
            raise AmbiguousError(f"{self.host} cut its reply short: it was empty")
        return Reply(response.status_code, body, response.headers)

    def _wait_turn(self) -> None:
        if not self._pause_s:
            return
        wait_s = self._next_start_s - clock.monotonic_s()
        if wait_s > 0:
            self.pause(wait_s)
        self._next_start_s = clock.monotonic_s() + self._pause_s

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        """Yield the body's bytes, decompressed, as long as its size allows."""
        left = self._options.max_reply_bytes
        inflate = self._inflater(response)
        for raw in _stream_of(response):
            try:
                # One byte more than is left shows a reply that is too large, at no more cost.
                chunk = inflate.decompress(raw, left + 1) if inflate else raw
            except zlib.error as error:
                raise AmbiguousError(f"{self.host} sent a reply that can't be unpacked") from error
            left -= len(chunk)
            if left < 0:
                raise UnreadableReplyError(
                    f"{self.host} sent more than {self._options.max_reply_bytes:,} bytes: "
                    "that is not the protocol",
                    hint="Check the address in the config.",
                )
            yield chunk
        if inflate and left < self._options.max_reply_bytes and not inflate.eof:
            raise AmbiguousError(f"{self.host} cut its reply short")

    def _inflater(self, response: httpx.Response) -> "zlib._Decompress | None":
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding in {"", "identity"}:
            return None
        if encoding in {"gzip", "x-gzip"}:
            return zlib.decompressobj(_GZIP_WINDOW)
        raise UnreadableReplyError(
            f"{self.host} sent its reply in an encoding that was not asked for"
        )

    def _fault_of(self, error: Exception) -> SyncdError:
        """Return our error for one of httpx's."""
        if isinstance(error, _UNSENT):
            return TemporaryError(
                f"{self.host} can't be reached: {str(error) or type(error).__name__}",
                hint="Check the address, the network and the other side's own health.",
            )
        if isinstance(error, httpx.TimeoutException):
            return self._too_slow()
        if isinstance(error, _SENT):
            return AmbiguousError(f"the connection to {self.host} broke before its reply was whole")
        if isinstance(error, httpx.StreamError):
            return SyncdError("a reply was read twice: this is a fault of syncd's own")
        return self._cannot_send()

    def _too_slow(self) -> AmbiguousError:
        return AmbiguousError(f"{self.host} gave no whole reply in {self._options.timeout_s:g} s")

    def _cannot_send(self) -> ConfigurationError:
        return ConfigurationError(
            f"a request to {self.host} can't be sent as it is configured",
            hint="Check the address and the keys for line breaks and other odd characters.",
        )


class _Connections(httpx.HTTPTransport):
    """The connections to one side, whose time-outs are moments of the monotonic clock.

    httpx has no argument for how its pool connects, so that the pool is made here.
    """

    def __init__(self, trust: ssl.SSLContext | None) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust, keepalive_expiry=_IDLE_S, network_backend=_Network()
        )


class _Network(httpcore.SyncBackend):
    """Connects as httpcore does, until a moment."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left_s, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """A stream that is read and written until a moment, however often."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left_s(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left_s(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _left_s(until_s: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    """Return the seconds until a moment; raise where it is past."""
    if until_s is None:
        return None
    left_s = until_s - clock.monotonic_s()
    if left_s <= 0:
        raise late
    return left_s


def _helped(error: TemporaryError, *, repeatable: bool) -> bool:
    """Return whether another try may mend a failure, and do no harm."""
    return not isinstance(error, QuotaError) and (
        repeatable or not isinstance(error, AmbiguousError)
    )


def _stream_of(response: httpx.Response) -> httpx.SyncByteStream:
    """Return the body as it comes off the wire; `iter_raw` would count and cut it, too."""
    if not isinstance(response.stream, httpx.SyncByteStream):  # pragma: no cover
        raise TypeError("the reply of a call that waits is a stream that waits")
    return response.stream


def check_url(url: str) -> httpx.URL:
    """Return an address as httpx has it, if it may be used.

    Raises:
        ConfigurationError: it is no URL, holds a login, or is plain http to another machine.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError("the address is no URL", hint=_WANTED) from error
    if parsed.scheme not in {"https", "http"} or not parsed.host:
        raise ConfigurationError("the address is no web address", hint=_WANTED)
    if parsed.userinfo:
        raise ConfigurationError(
            "the address holds a login", hint="Give it by the keys meant for it."
        )
    if parsed.scheme == "http" and not _is_loopback(parsed.host):
        raise ConfigurationError(
            f"plain http:// to {parsed.host} would send everything in clear",
            hint="Use https://; plain http:// is for addresses of this machine only.",
        )
    return parsed


_WANTED: Final = "Write it like https://lists.example.com/path."


def fault_of_status(
    status: int, headers: Mapping[str, str], *, who: str = "the service"
) -> SyncdError | None:
    """Return what an HTTP status means where the body doesn't say more; None for a success.

    After a failure inside the side (5xx but 503, "not now") a write may have happened; 408 says
    that the request did not come whole.
    """
    if status < 300:  # noqa: PLR2004
        return None
    if status in {408, 429, 503}:
        return TemporaryError(
            f"{who} answered HTTP {status}: not now", retry_after_s=_retry_after_s(headers)
        )
    if status >= 500:  # noqa: PLR2004
        return AmbiguousError(f"{who} failed: HTTP {status}", retry_after_s=_retry_after_s(headers))
    return _fault_of_class(status, who)


def _fault_of_class(status: int, who: str) -> SyncdError:
    if status in {401, 403}:
        return AuthenticationError(
            f"{who} refused our credentials (HTTP {status})",
            hint="Check the key or token in the config, and its rights.",
        )
    did = "sends us elsewhere" if status < 400 else "refused the request"  # noqa: PLR2004
    return ConfigurationError(f"{who} {did} (HTTP {status})", hint="Check the address.")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds, or a date; None where there is none that can be read."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date without an offset is meant to be GMT (RFC 9110).
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - clock.now()).total_seconds(), 0.0)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _trust(url: httpx.URL) -> ssl.SSLContext | None:
    """Return whom to believe: the usual authorities and those that this machine trusts."""
    if url.scheme == "http":
        return None  # nothing is encrypted, and loading the authorities takes a while
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
