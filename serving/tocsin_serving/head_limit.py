"""What uvicorn's fast parser leaves to whoever uses it: bounds on heads and trailers (its slow one
has one), and requests that offer an upgrade.

A client that sends headers for ever would fill the memory before there is a request to refuse, and
one that sends half a head would keep its connection for ever. An offer to go on in another protocol
(HTTP/2, by Java's HttpClient with every request; RFC 9110, 7.8 lets a server ignore it) makes the
parser stop behind the head: the body would be lost.
"""

import asyncio

import httptools
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Far more than any head has. A read that ends the head may bring up to 256 KiB of body along, which
# is counted too, so it must not be tighter.
MOST_BYTES = 1 << 20
# For a head to come, from the connection or from its own first byte on. Between requests uvicorn
# has a time of its own, which ends with the first byte.
HEAD_S = 10.0


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol. A head over ``MOST_BYTES`` is answered 400, and the connection closed;
    without an answer it is closed for trailers over it, and where no head comes in ``HEAD_S``.
    Trailers are dropped, and offers of an upgrade passed over."""

    _is_in_head = False
    # Since the last end of a head, piece of a body or end of a message.
    _bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            if self._is_in_head:
                self.send_400_response("The head of the request is too large.")
            else:  # it may have been answered
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        left = memoryview(data)
        try:
            while left:
                try:
                    self.parser.feed_data(left)
                    return
                except httptools.HttpParserUpgrade as stop:
                    left = left[stop.args[0] :]
                    self.parser.feed_data(self._head_without_upgrade())
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._await_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._bytes = 0
        self._forget_timer()
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._bytes = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:  # the answer to the request before it is still to be sent
            self._await_head()

    def _head_without_upgrade(self) -> bytes:
        """The head that was just read, for the parser to read again and go on behind it."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])


def install() -> None:
    """Make every uvicorn of this process use it; BentoML hands no protocol through."""
    auto.AutoHTTPProtocol = BoundedHeads
