"""uvicorn's HTTP protocol with limits: what a head may hold, how long it may take, how much may wait.

A connection that sends or takes too little for too long is closed, by one look at all connections now and
then (`close_if_stalled`) and not by a timer for each request.
"""

from typing import Any

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from driftgate.gateway.http.connection_limits import (
    MAX_HEAD_BYTES,
    MAX_HEADER_LINES,
    MAX_LINE_BYTES,
    MAX_URL_BYTES,
    ConnectionLimits,
    Pace,
    Refused,
    check_head,
    check_length,
    check_target,
)

KEEP_ALIVE_S = 75.0
PIECE_BYTES = 8 * 1024
"""Fed to the parser at a time; also how much of a pipeline is read ahead."""

DEFAULT_LIMITS = ConnectionLimits()
NOT_HTTP = Refused(400, "this is not a valid HTTP/1.1 request")


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    cycle: Any
    parser: HttpRequestParser

    def __init__(self, limits: ConnectionLimits = DEFAULT_LIMITS, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._between = True  # requests: every byte so far belongs to one that is complete
        self._begun = False  # being received, and `cycle` is its cycle
        self._head_bytes = 0
        self._unfinished = 0  # about the bytes of a header line that is still coming in
        self._body_bytes = 0
        self._received = 0
        self._receiving = Pace()
        self._sending = Pace()
        self._held = b""
        self._last_words = b""
        # Whoever has just connected is to say something before long.
        self._idle_since = self.loop.time() - KEEP_ALIVE_S + limits.receive_timeout_s

    def data_received(self, data: bytes) -> None:
        """Parse what has come in, or keep it while earlier requests of this connection are answered."""
        self._feed(data)

    def on_message_begin(self) -> None:
        """Note the request; uvicorn's own preparations are made up for where they are needed."""
        self._between = self._begun = False
        self._head_bytes = self._unfinished = self._body_bytes = 0
        self._receiving.reset()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_url(self, url: bytes) -> None:
        """Collect the request's target, within its limit."""
        self.url += url
        if len(self.url) > MAX_URL_BYTES:
            raise Refused(414, f"the URL is longer than {MAX_URL_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, within the limits; what comes after the body is bounded too, and means nothing."""
        size = len(name) + len(value)
        self._head_bytes += size + 4
        self._unfinished = 0
        if size > MAX_LINE_BYTES:
            raise Refused(431, f"a header is longer than {MAX_LINE_BYTES} bytes")
        if self._head_bytes > MAX_HEAD_BYTES:
            raise Refused(431, f"the headers have more than {MAX_HEAD_BYTES} bytes together")
        if self._begun:
            return
        if len(self.headers) >= MAX_HEADER_LINES:
            raise Refused(431, f"there are more than {MAX_HEADER_LINES} headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head, then begin to answer."""
        if self.parser.should_upgrade():
            return  # told again without it
        check_head(self.parser.get_http_version(), self.headers)
        if not self._begin():
            self._begin_asgi()
        self._begun = True

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body on, within the limit of this port."""
        self._body_bytes += len(body)
        most = self._limits.max_body_bytes
        if most is not None and self._body_bytes > most:
            raise Refused(413, f"the body is larger than {most} bytes")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is all there."""
        if self.parser.should_upgrade():
            return
        self._between = True
        self._complete()

    def on_response_complete(self) -> None:
        """Go on with what has waited for this answer; no timer ends idle connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._idle_since = self.loop.time()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._last_words:
            self._end(self._last_words)
        else:
            if not self.flow.write_paused:
                self.flow.resume_reading()
            if self._held:
                held, self._held = self._held, b""
                self._feed(held)

    def pause_writing(self) -> None:
        """Take no more requests from a client that does not read its answers; they would pile up here."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Go on with a client that reads again."""
        super().resume_writing()
        if not self.pipeline:
            self.flow.resume_reading()

    def close_if_stalled(self, now: float) -> None:
        """Close the connection if it is idle or the client sends or takes too little, at this loop time."""
        patience_s = self._limits.receive_timeout_s
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            self._sending.reset()
        elif self._sending.is_too_slow(now, -unsent, patience_s):
            self.transport.abort()
        if not self._between:
            if self.flow.read_paused:
                self._receiving.reset()  # it is we who do not read
            elif self._receiving.is_too_slow(now, self._received, patience_s):
                self.transport.close()
        elif self._is_free() and not unsent and self._idle_since < now - KEEP_ALIVE_S:
            self.transport.close()

    def _begin(self) -> bool:
        """Begin to answer the request whose head is complete; False leaves it to the application."""
        return False

    def _begin_asgi(self) -> None:
        check_target(self.url)
        check_length(self.headers, self._limits)
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        super().on_headers_complete()

    def _complete(self) -> None:
        """Go on with a request that has come in whole."""
        super().on_message_complete()

    def _is_free(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _feed(self, data: bytes) -> None:
        if self._last_words:
            return
        self._received += len(data)
        rest = memoryview(data)
        try:
            while rest:
                if self.pipeline or self._held:
                    self._hold(rest)
                    return
                rest = self._parse(rest)
        except HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refused) else NOT_HTTP)

    def _hold(self, rest: memoryview) -> None:
        """Keep what a client has sent ahead, and read no more, until what it sent before is answered."""
        self._received -= len(rest)
        self._held += bytes(rest)
        self.flow.pause_reading()

    def _parse(self, data: memoryview) -> memoryview:
        """Let the parser read a piece and return what it left."""
        piece = data[:PIECE_BYTES]
        try:
            self.parser.feed_data(piece)
        except HttpParserUpgrade as upgrade:
            if self.parser.get_method() == b"CONNECT":
                raise HttpParserError("nothing is tunnelled here") from None
            self._tell_again()
            return data[upgrade.args[0] :]
        if not (self._between or self._begun):
            self._unfinished += len(piece)
            if self._unfinished > MAX_LINE_BYTES + PIECE_BYTES:
                self._refuse(Refused(431, f"a header is longer than {MAX_LINE_BYTES} bytes"))
                return data[:0]
        return data[len(piece) :]

    def _tell_again(self) -> None:
        """Go on as if the head had not offered another protocol, as some clients do in every first request.

        The parser cannot be told to read the body of such a request; another one gets the head without it.
        """
        lines = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        version = self.parser.get_http_version().encode()
        start = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"".join([start, *lines, b"\r\n"]))

    def _refuse(self, refused: Refused) -> None:
        """Refuse what is being received and end the connection, once all that came before is answered."""
        if self._begun and self.pipeline:
            self.pipeline.popleft()  # the newest: nobody has begun to answer it
        elif self._begun and not self._is_free():
            self._give_up(refused)
            return
        elif self._begun:
            self.transport.close()  # it has its answer already
            return
        elif self._is_free():
            self._end(_last_words(refused))
            return
        self._last_words = _last_words(refused)
        self.flow.pause_reading()

    def _give_up(self, refused: Refused) -> None:
        """Refuse a request whose body turns out bad while the application is at work on it."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self._end(b"" if self.cycle.response_started else _last_words(refused))

    def _end(self, words: bytes) -> None:
        self.transport.write(words)
        self.transport.close()


def _last_words(refused: Refused) -> bytes:
    """The whole answer to a request that is refused by its form, in the shape of every other error."""
    body = msgspec.json.encode({"error": str(refused)})
    return b"%bcontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (
        STATUS_LINE[refused.status],
        len(body),
        body,
    )
