"""A bound on request heads. uvicorn's fast parser has none (its slow one has): a client that sends
headers for ever would fill the memory before there is a request to refuse."""

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Far more than any head has. A read that ends the head may bring up to 256 KiB of body along, which
# is counted too, so it must not be tighter.
MOST_BYTES = 1 << 20


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol; a head over ``MOST_BYTES`` is answered 400, and the connection closed."""

    _head_bytes: int | None = None  # None between heads

    def data_received(self, data: bytes) -> None:
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_BYTES:
                self._head_bytes = None
                self.send_400_response("The head of the request is too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        super().on_headers_complete()


def install() -> None:
    """Make every uvicorn of this process use it; BentoML hands no protocol through."""
    auto.AutoHTTPProtocol = BoundedHeads
