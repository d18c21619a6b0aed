"""gRPC through a gateway, with grpcio's own client and server: every kind of call, deadlines, what failures become."""
# mypy: disable-error-code="import-untyped,misc"

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from tests.conftest import Start
from tests.support.gateway import Tidegate
from tests.support.waiting import PATIENCE_S

Stub = Callable[..., Any]
KINDS = {
    "unary": grpc.unary_unary_rpc_method_handler,
    "up": grpc.stream_unary_rpc_method_handler,
    "down": grpc.unary_stream_rpc_method_handler,
    "both": grpc.stream_stream_rpc_method_handler,
}


class Service(grpc.GenericRpcHandler):
    """Answers bytes with bytes, so that no generated code is needed."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.waiting = threading.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        name = details.method.rpartition("/")[2]
        kind = name.partition("_")[0]
        behaviour = getattr(self, name, None)
        return KINDS[kind](behaviour) if kind in KINDS and behaviour else None

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        told = {pair.key: pair.value for pair in context.invocation_metadata()}
        context.send_initial_metadata((("x-first", "1"), ("x-saw", told.get("x-mine", ""))))
        context.set_trailing_metadata((("x-last", "2"), ("x-bin", b"\x00\xff")))
        return request[::-1]

    def unary_fails(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 100 % no")
        raise AssertionError("abort raises")

    def unary_hangs(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.cancelled.set)
        self.waiting.set()
        self.cancelled.wait(PATIENCE_S)
        return b""

    def up(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"|".join(requests)

    def down(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from (b"%d" % number for number in range(int(request)))

    def both(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield request.upper()


@pytest.fixture
def service() -> Iterator[tuple[Service, str]]:
    handler = Service()
    server = grpc.server(ThreadPoolExecutor(8), handlers=(handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler, f"http://127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture
def channel(start: Start, service: tuple[Service, str]) -> Iterator[grpc.Channel]:
    with dial(start(config(service[1]))) as channel:
        yield channel


def config(url: str, **route: object) -> dict[str, object]:
    return {
        "routes": [{"match": {"path": "/test.Service"}, "upstream": "grpc", **route}],
        "upstreams": {"grpc": {"protocol": "http2", "endpoints": [url]}},
    }


def dial(gateway: Tidegate) -> grpc.Channel:
    return grpc.insecure_channel(gateway.address, options=[("grpc.max_receive_message_length", 64 << 20)])


def failure(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value.code(), raised.value.details()


def test_a_unary_call_keeps_its_metadata_both_ways(channel: grpc.Channel) -> None:
    answer, call = channel.unary_unary("/test.Service/unary").with_call(b"abc", metadata=[("x-mine", "7")], timeout=10)
    assert answer == b"cba"
    first = dict(call.initial_metadata())
    assert (first["x-first"], first["x-saw"]) == ("1", "7")
    last = dict(call.trailing_metadata())
    assert (last["x-last"], last["x-bin"]) == ("2", b"\x00\xff")
    assert call.code() is grpc.StatusCode.OK


def test_streams_of_every_kind_arrive_whole_and_in_order(channel: grpc.Channel) -> None:
    numbers = [b"%d" % number for number in range(200)]
    assert channel.stream_unary("/test.Service/up")(iter(numbers), timeout=10) == b"|".join(numbers)
    assert [*channel.unary_stream("/test.Service/down")(b"200", timeout=10)] == numbers
    assert [*channel.stream_stream("/test.Service/both")(iter([b"a", b"b"]), timeout=10)] == [b"A", b"B"]


def test_a_conversation_goes_back_and_forth_message_by_message(channel: grpc.Channel) -> None:
    turns: list[bytes] = []
    ready = threading.Semaphore(1)

    def requests() -> Iterator[bytes]:
        for number in range(20):
            ready.acquire(timeout=PATIENCE_S)
            yield b"turn %d" % number

    for answer in channel.stream_stream("/test.Service/both")(requests(), timeout=10):
        turns.append(answer)
        ready.release()
    assert turns == [b"TURN %d" % number for number in range(20)]


def test_large_messages_pass(channel: grpc.Channel) -> None:
    content = bytes(range(256)) * 12_000  # 3 MB
    assert channel.unary_unary("/test.Service/unary")(content, timeout=20) == content[::-1]


def test_the_services_own_failures_pass_as_they_are(channel: grpc.Channel) -> None:
    call = channel.unary_unary("/test.Service/unary_fails")
    assert failure(lambda: call(b"", timeout=10)) == (grpc.StatusCode.FAILED_PRECONDITION, "not today: 100 % no")
    unknown = channel.unary_unary("/test.Service/nothing")
    assert failure(lambda: unknown(b"", timeout=10))[0] is grpc.StatusCode.UNIMPLEMENTED


def test_a_call_that_is_cancelled_is_cancelled_at_the_service(
    channel: grpc.Channel, service: tuple[Service, str]
) -> None:
    call = channel.unary_unary("/test.Service/unary_hangs").future(b"", timeout=30)
    assert service[0].waiting.wait(PATIENCE_S)
    call.cancel()
    assert service[0].cancelled.wait(PATIENCE_S)


def test_failures_of_the_gateway_are_told_in_grpcs_words(start: Start, service: tuple[Service, str]) -> None:
    limited = {"limit": {"key": "client_ip", "rate": "1/h", "burst": 1}}
    with dial(start(config(service[1], **limited))) as channel:
        call = channel.unary_unary("/test.Service/unary")
        assert call(b"ab", timeout=10) == b"ba"
        code, details = failure(lambda: call(b"ab", timeout=10))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "Retry-After" in details
        other = channel.unary_unary("/other.Service/unary")
        assert failure(lambda: other(b"", timeout=10))[0] is grpc.StatusCode.UNIMPLEMENTED
    nobody = "http://127.0.0.1:1"
    with dial(start(config(nobody))) as channel:
        call = channel.unary_unary("/test.Service/unary")
        assert failure(lambda: call(b"", timeout=10))[0] is grpc.StatusCode.UNAVAILABLE


def test_a_deadline_is_kept_by_the_gateway_though_nobody_else_keeps_it(
    start: Start, service: tuple[Service, str]
) -> None:
    gateway = start(config(service[1]))
    with dial(gateway) as channel:
        # The client's own timer is long; the one in the metadata is what the gateway sees.
        call = channel.unary_unary("/test.Service/unary_hangs")
        code, _ = failure(lambda: call(b"", timeout=0.3))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert service[0].cancelled.wait(PATIENCE_S)


def test_a_conversation_may_pause_for_longer_than_a_body_may(start: Start, service: tuple[Service, str]) -> None:
    bounds = {"body_timeout": "200ms", "rate_grace": "100ms", "min_body_rate": "1KiB"}
    settings = {**config(service[1], timeouts={"idle": "200ms"}), "server": bounds}
    heard = threading.Event()

    def requests() -> Iterator[bytes]:
        yield b"first"
        heard.wait(PATIENCE_S)
        threading.Event().wait(1)  # the pause is what this is about
        yield b"second"

    with dial(start(settings)) as channel:
        answers = channel.stream_stream("/test.Service/both")(requests(), timeout=30)
        assert next(answers) == b"FIRST"
        heard.set()
        assert [*answers] == [b"SECOND"]
