"""Answers of a bucket's server, in each of the forms that HTTP has for them, and ones that break off."""

import http.client
import io
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.api import NotFound
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3.wire import Answer

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("raw", "body", "kept"),
    [
        (OK + b"Content-Length: 5\r\n\r\nbytes", b"bytes", True),
        (OK + b"content-length:5\r\nConnection: close\r\n\r\nbytes", b"bytes", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nbyt\r\n2;x=y\r\nes\r\n0\r\nLater: yes\r\n\r\n", b"bytes", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nbytes", b"bytes", True),
        (OK + b"\r\nbytes", b"bytes", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nbytes", b"bytes", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    ],
    ids=["length", "close", "chunked", "continue", "to-the-end", "1.0", "204"],
)
def test_a_body_comes_in_each_form(raw: bytes, body: bytes, kept: bool) -> None:
    answer = Answer(io.BytesIO(raw), "GET")
    assert b"".join(answer.blocks(4)) == body
    assert answer.kept == kept


def test_an_answer_to_head_has_a_length_and_no_body() -> None:
    answer = Answer(io.BytesIO(OK + b'Content-Length: 5\r\nETag: "a"\r\n\r\n'), "HEAD")
    assert list(answer.blocks(4)) == []
    assert answer.headers == {"content-length": "5", "etag": '"a"'}


@pytest.mark.parametrize("raw", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n", OK + b"A: b\r\n", OK + b"A" * 70_000])
def test_what_is_no_answer_is_an_error_of_http(raw: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        Answer(io.BytesIO(raw), "GET")


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 6\r\n\r\nbytes",
        OK + b"Transfer-Encoding: chunked\r\n\r\n6\r\nbytes",
        OK + b"Transfer-Encoding: chunked\r\n\r\nbytes",
    ],
)
def test_a_body_that_ends_too_early_is_an_error(raw: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        list(Answer(io.BytesIO(raw), "GET").blocks(4))


Serve = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def serve(aws: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server that gives one answer a connection, the last one over and over; give what it was asked."""
    servers = []

    def start(answers: list[bytes]) -> list[bytes]:
        server, asked = socket.create_server(("127.0.0.1", 0)), list[bytes]()

        def run() -> None:
            while True:
                try:
                    near, _ = server.accept()
                except OSError:
                    return
                with near:
                    asked.append(near.recv(65536))
                    near.sendall(answers[min(len(asked), len(answers)) - 1])

        thread = threading.Thread(target=run)
        thread.start()
        servers.append((server, thread))
        aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        return asked

    yield start
    for server, thread in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def test_an_object_that_breaks_off_is_transient(serve: Serve) -> None:
    serve([OK + b"Content-Length: 1000\r\n\r\nbytes"])
    with pytest.raises(TransientError, match=r"key did not come whole from s3://bucket/x"):
        b"".join(open_store("s3://bucket/x").stream("key"))


def test_a_read_that_meets_a_busy_server_is_sent_again(serve: Serve) -> None:
    asked = serve([b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"", OK + b"Content-Length: 2\r\n\r\nok"])
    assert b"".join(open_store("s3://bucket/x").stream("key", start=3, end=5)) == b"ok"
    assert len(asked) == 3
    assert b"range: bytes=3-4\r\n" in asked[2]


def test_a_server_that_never_answers_whole_is_transient(serve: Serve) -> None:
    asked = serve([b""])
    with pytest.raises(TransientError, match="no answer from"):
        next(open_store("s3://bucket/x").stream("key"))
    assert len(asked) == 4


def test_what_is_not_there_and_what_is_not_allowed_is_told(serve: Serve) -> None:
    error = b"<Error><Code>NoSuchKey</Code></Error>"
    serve([b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%s" % (len(error), error)])
    with pytest.raises(NotFound, match="has no key"):
        next(open_store("s3://bucket/x").stream("key"))
    serve([b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"])
    with pytest.raises(InputError, match="denies the use of key"):
        next(open_store("s3://bucket/x").stream("key"))
