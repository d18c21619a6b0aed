"""What is written for each request, and that writing it never stands in anybody's way."""

from __future__ import annotations

import datetime as dt
import json
import re
import signal
import socket
from pathlib import Path

import pytest
from tests.conftest import Serve, Start
from tests.support.client import message, once
from tests.support.waiting import until

COMBINED = re.compile(
    r"(?P<ip>\S+) - (?P<user>\S+) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"(?P<request>(?:[^"\\]|\\x[0-9A-F]{2})*)" (?P<status>\d{3}) (?P<bytes>\d+) '
    r'"(?P<referer>(?:[^"\\]|\\x[0-9A-F]{2})*)" "(?P<agent>(?:[^"\\]|\\x[0-9A-F]{2})*)"'
)


def lines(path: Path, count: int) -> list[str]:
    def look() -> list[str]:
        found = path.read_text().splitlines(keepends=True) if path.exists() else []
        return found if len([line for line in found if line.endswith("\n")]) >= count else []

    return [line.rstrip("\n") for line in until(look, f"{count} lines in {path.name}")]


def test_the_combined_format_is_nginxs_to_the_byte(start: Start, serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "combined.log"
    gateway = start({"access_log": {"path": str(log), "flush": "10ms"}, "routes": [{"upstream": serve().url}]})
    fields = [("Referer", 'https://a.example/"x"'), ("User-Agent", "curl/8 (x)\\")]
    assert once(gateway.address, "GET", "/a?b=c", fields).status == 200
    assert once(gateway.address, "POST", "/p", (), b"body").status == 200
    first, second = lines(log, 2)
    found = COMBINED.fullmatch(first)
    assert found, first
    assert found["ip"] == "127.0.0.1"
    assert found["user"] == "-"
    assert found["request"] == "GET /a?b=c HTTP/1.1"
    assert (found["status"], found["bytes"]) == ("200", "2")
    assert found["referer"] == r"https://a.example/\x22x\x22"
    assert found["agent"] == r"curl/8 (x)\x5C"
    when = dt.datetime.strptime(found["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert abs((dt.datetime.now(dt.UTC) - when).total_seconds()) < 30
    assert '"POST /p HTTP/1.1" 200 2 "-" "-"' in second


def test_a_json_record_tells_the_whole_exchange(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start({"routes": [{"name": "all", "upstream": upstream.url}]})
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    once(
        gateway.address,
        "POST",
        "/a b".replace(" ", "%20"),
        {"Host": "Shop.Example:80", "traceparent": parent},
        b"12345",
    )
    (record,) = gateway.records(1)
    request_id = upstream.requests[0].fields.get("X-Request-Id")
    assert record["method"] == "POST"
    assert record["target"] == "/a%20b"
    assert record["host"] == "shop.example"
    assert record["status"] == 200
    assert record["bytes_received"] == 5
    assert record["bytes_sent"] == 2
    assert record["route"] == "all"
    assert record["endpoint"] == upstream.address
    assert record["attempts"] == 1
    assert record["reason"] == ""
    assert record["client_ip"] == "127.0.0.1"
    assert record["request_id"] == request_id
    assert record["traceparent"] == parent
    assert 0 < record["upstream_duration_ms"] <= record["duration_ms"] < 10_000
    assert dt.datetime.fromisoformat(record["time"]).tzinfo is not None


def test_hostile_bytes_stay_inside_their_strings(start: Start) -> None:
    gateway = start({"routes": [{"respond": 200}]})
    agent = '"}\n{"status":1,"x":"\x7f\xe9\\'
    with gateway.client() as client:
        raw = agent.replace("\n", "\\n").replace("\x7f", "").encode("latin-1")
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: " + raw + b"\r\n\r\n")
        assert client.receive().status == 200
    (record,) = gateway.records(1)
    assert record["status"] == 200
    assert record["user_agent"].startswith('"}\\n{"status":1')


def test_refused_and_unrouted_requests_have_a_record_each(start: Start) -> None:
    gateway = start({"routes": [{"match": {"path": "/here"}, "respond": 200}]})
    with gateway.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert client.receive().status == 400
    assert gateway.get("/there").status == 404
    refused, unrouted = gateway.records(2)
    assert (refused["status"], refused["reason"], refused["route"]) == (400, "repeated_host", "")
    assert (unrouted["status"], unrouted["reason"]) == (404, "no_route")


def test_a_route_may_keep_its_requests_out_of_the_log(start: Start) -> None:
    gateway = start({"routes": [{"match": {"path": "/quiet"}, "access_log": False, "respond": 200}, {"respond": 200}]})
    for target in ("/quiet", "/quiet", "/said"):
        assert gateway.get(target).status == 200
    assert [record["target"] for record in gateway.records(1)] == ["/said"]


def test_a_template_writes_what_it_says(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    form = "${client_ip} ${method} ${path} ${status} ${header:X-A} ${request_id}"
    gateway = start({"access_log": {"format": form, "path": str(log), "flush": "10ms"}, "routes": [{"respond": 204}]})
    assert gateway.get("/x", X_A="a b").status == 204
    (line,) = lines(log, 1)
    assert re.fullmatch(r"127\.0\.0\.1 GET /x 204 a b [0-9a-f]{32}", line)


def test_the_log_may_go_to_standard_output(start: Start) -> None:
    gateway = start({"access_log": {"format": "json", "path": "stdout", "flush": "10ms"}, "routes": [{"respond": 200}]})
    assert gateway.get("/out").status == 200
    assert json.loads(gateway.printed.wait("/out").string)["target"] == "/out"


def test_the_log_may_go_to_syslog(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(10)
        log = {"path": f"syslog:unix:{tmp_path / 'log'}", "tag": "edge", "flush": "10ms"}
        gateway = start({"access_log": log, "routes": [{"respond": 200}]})
        assert gateway.get("/syslog").status == 200
        said = server.recv(65536).decode()
    assert re.match(r"<190>", said), said
    assert "edge" in said
    assert "GET /syslog HTTP/1.1" in said


def test_logs_are_opened_anew_after_they_were_moved(start: Start) -> None:
    gateway = start({"routes": [{"respond": 200}]})
    assert gateway.get("/before").status == 200
    gateway.records(1)
    moved = gateway.log_file.with_suffix(".1")
    gateway.log_file.rename(moved)
    gateway.signal(signal.SIGUSR1)
    gateway.said.wait("logs reopened")
    until(lambda: gateway.get("/after").status == 200 and gateway.log_file.exists(), "the new file")
    assert {record["target"] for record in gateway.records(1)} == {"/after"}
    assert json.loads(moved.read_text().splitlines()[0])["target"] == "/before"


def test_a_full_disk_under_the_log_stops_no_request(start: Start) -> None:
    log = {"path": "/dev/full", "flush": "10ms", "buffer": "4KiB"}
    gateway = start({"access_log": log, "routes": [{"respond": 200}]})
    with gateway.client() as client:
        assert all(client.request("GET", f"/{number}").status == 200 for number in range(500))
    until(lambda: gateway.metrics().one("tidegate_log_lines_dropped_total") > 0, "dropped lines to be counted")
    gateway.said.wait("(?i)no space|full")
    assert gateway.said.count < 40, "it is said seldom"


def test_a_log_that_cannot_be_opened_is_told_at_the_start(start: Start, tmp_path: Path) -> None:
    gateway = start(
        {"access_log": str(tmp_path / "no" / "such" / "access.log"), "routes": [{"respond": 200}]}, wait=False
    )
    assert gateway.wait() == 1
    assert "access.log" in gateway.said.text


@pytest.mark.parametrize("trust", [False, True])
def test_a_request_id_is_made_or_kept_and_told_everywhere(start: Start, serve: Serve, trust: bool) -> None:
    upstream = serve()
    server = {"request_id": {"trust": trust, "respond": True, "header": "X-Req"}}
    gateway = start({"server": server, "routes": [{"upstream": upstream.url}]})
    answer = gateway.get(X_Req="from-the-client-1")
    told = answer.fields.get("X-Req") or ""
    assert upstream.requests[0].fields.get("X-Req") == told
    assert gateway.records(1)[0]["request_id"] == told
    if trust:
        assert told == "from-the-client-1"
    else:
        assert re.fullmatch(r"[0-9a-f]{32}", told)


def test_request_ids_are_never_the_same_twice(start: Start) -> None:
    gateway = start({"workers": 2, "server": {"request_id": {"respond": True}}, "routes": [{"respond": 200}]})
    with gateway.client() as one, gateway.client() as other:
        ids = {client.request("GET").fields.get("X-Request-Id") for _ in range(200) for client in (one, other)}
    assert len(ids) == 400


def test_a_trace_is_passed_on_or_begun_and_logged(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start({"server": {"trace": True}, "routes": [{"upstream": upstream.url}]})
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with gateway.client() as client:
        client.request("GET", "/given", {"traceparent": parent, "tracestate": "a=b"})
        client.send(message("GET", "/made"))
        client.receive()
    given, made = upstream.requests
    assert given.fields.get("traceparent") == parent
    assert given.fields.get("tracestate") == "a=b"
    begun = made.fields.get("traceparent") or ""
    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]", begun)
    assert [record["traceparent"] for record in gateway.records(2)] == [parent, begun]
