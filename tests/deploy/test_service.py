"""The service under a systemd that has booted: installed, serving, reloaded, upgraded under load, removed."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.deploy.conftest import Boot
from tests.support.machine import Machine
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
INSTALL = "sh /mnt/dist/install.sh --from /mnt/dist"
STATE = "--state /var/lib/tidegate"
CONFIG = """
listeners: [":80"]
admin: 127.0.0.1:9640
access_log: {format: json, path: /var/log/tidegate/access.log}
routes:
  - {match: {exact: /which}, respond: {body: "WHICH"}}
  - {upstream: app}
upstreams: {app: ["http://127.0.0.1:3000"]}
"""


class Hello(BaseHTTPRequestHandler):
    """An upstream."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def upstream(machine: Machine, port: int = 3000) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello, bind_and_activate=False)
    server.socket.close()
    server.socket = machine.listen(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configure(machine: Machine, which: str = "first", config: str = CONFIG) -> None:
    """Written in one step, as administrators' tools do."""
    (machine.more / "tidegate.yaml").write_text(config.replace("WHICH", which))
    machine.right("cd /etc/tidegate && cp /mnt/more/tidegate.yaml .new && chmod 644 .new && mv .new tidegate.yaml")


def installed(machine: Machine, which: str = "first") -> None:
    machine.right("mkdir -p /etc/tidegate")
    configure(machine, which)
    said = machine.right(INSTALL)
    assert "the service tidegate runs" in said


def main_pid(machine: Machine) -> int:
    return int(machine.right("systemctl show -p MainPID --value tidegate"))


def test_a_service_from_install_to_purge(suite: str, begin: Boot) -> None:
    machine = begin(suite, booted=True)
    before = machine.files()
    installed(machine)
    with upstream(machine):
        assert machine.get(80) == (200, b"hello")
        assert machine.get(80, "/which") == (200, b"first")
    assert machine.get(9640, "/readyz")[0] == 200
    assert machine.right(f"tidegate healthcheck {STATE}") == "ready\n"
    assert "generation 1" in machine.right("systemctl show -p StatusText tidegate")

    # It is nobody, may nothing, and writes where it is allowed to.
    status = machine.right(f"cat /proc/{main_pid(machine)}/status")
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0*400$", status, re.MULTILINE), "CAP_NET_BIND_SERVICE"
    assert not re.search(r"^Uid:\s+0", status, re.MULTILINE)
    until(lambda: "/which" in machine.right("cat /var/log/tidegate/access.log"), "the line is written")

    # A reload takes the new configuration, and says where the one after it is wrong.
    configure(machine, "second")
    machine.right("systemctl reload tidegate")
    assert machine.get(80, "/which") == (200, b"second")
    configure(machine, "third", CONFIG + "rotues: []\n")
    assert machine.run("systemctl reload tidegate").status != 0
    assert machine.get(80, "/which") == (200, b"second")
    assert re.search(r"/etc/tidegate/tidegate\.yaml:\d+:1: .*rotues", machine.right("journalctl -u tidegate -o cat"))
    configure(machine, "second")

    # Logs that are moved away are opened anew.
    machine.right("logrotate -f /etc/logrotate.d/tidegate")

    def logged_anew() -> bool:
        machine.get(80, "/which?after")
        return "after" in machine.run("cat /var/log/tidegate/access.log").out

    until(logged_anew, "a new log")
    assert machine.right("ls /var/log/tidegate").split() == ["access.log", "access.log.1"]

    # Whatever kills it, it comes back.
    first = main_pid(machine)
    machine.right(f"kill -9 {first}")
    until(
        lambda: main_pid(machine) not in {0, first} and machine.run("systemctl is-active tidegate").status == 0,
        "it is back",
    )
    assert machine.get(80, "/which")[1] == b"second"

    machine.right("systemctl stop tidegate")
    told = machine.right("systemctl show -p Result --value tidegate").strip()
    assert told == "success", machine.right("journalctl -u tidegate -n 30 --no-pager")
    machine.right("systemctl start tidegate")
    assert machine.get(80, "/which")[1] == b"second"

    machine.right("sh /mnt/dist/install.sh --uninstall")
    assert machine.run("systemctl cat tidegate").status != 0
    assert machine.right("ls /etc/tidegate/tidegate.yaml /var/lib/tidegate"), "what is the administrator's stays"
    machine.right("sh /mnt/dist/install.sh --purge")
    left = {name for name in machine.files() - before if not name.startswith(("/var/log/journal", "/run/", "/dev/"))}
    # What systemd makes for any service, and the lock and copies that adding any user leaves.
    left -= {
        "/var/lib/private",
        "/var/cache/private",
        "/var/log/private",
        "/etc/.pwd.lock",
        "/var/lib/logrotate/status",
        "/var/lib/systemd/random-seed",
    }
    left -= {f"/etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow")}
    assert left == set()
    assert "tidegate" not in machine.right("cat /etc/passwd /etc/group; find /run -name '*tidegate*'")


def test_a_dynamic_user_does_where_there_is_no_fixed_one(begin: Boot) -> None:
    machine = begin("bookworm", booted=True)
    machine.right("mkdir -p /etc/sysusers.d; ln -s /dev/null /etc/sysusers.d/tidegate.conf; mkdir -p /etc/tidegate")
    configure(machine)
    machine.right(
        "cp /mnt/dist/tidegate-linux-$(uname -m) /usr/local/bin/tidegate; "
        "tidegate service > /etc/systemd/system/tidegate.service"
    )
    machine.right("systemctl enable --now tidegate")
    assert "tidegate" not in machine.right("cat /etc/passwd")
    assert machine.get(80, "/which") == (200, b"first")


@contextmanager
def asked_without_end(machine: Machine, clients: int = 4) -> Iterator[list[str]]:
    """Clients that ask as fast as they are answered; yields what went wrong."""
    wrong: list[str] = []
    answered = [0] * clients
    over = threading.Event()

    def ask(client: int) -> None:
        while not over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", 80)
            try:
                connection.sock = machine.connect(80)
            except OSError as error:
                wrong.append(f"connect: {error}")
                continue
            try:
                for number in range(50):
                    connection.request("GET", f"/{client}/{number}")
                    answer = connection.getresponse()
                    if (answer.status, answer.read()) != (200, b"hello"):
                        wrong.append(f"status {answer.status}")
                    answered[client] += 1
                    if answer.will_close or over.is_set():
                        break
            except (OSError, http.client.HTTPException) as error:
                wrong.append(f"{type(error).__name__}: {error}")
            finally:
                connection.close()

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: min(answered) > 20, "all clients are answered")
        yield wrong
        seen = list(answered)
        until(lambda: min(now - then for now, then in zip(answered, seen, strict=True)) > 20, "all are answered again")
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_reloads_under_load_fail_nobody(begin: Boot) -> None:
    machine = begin("bookworm", booted=True)
    installed(machine)
    with upstream(machine), asked_without_end(machine) as wrong:
        for number in range(5):
            configure(machine, f"reload {number}")
            machine.right("systemctl reload tidegate")
    assert wrong == []
    assert machine.get(80, "/which")[1] == b"reload 4"


def test_a_port_in_use_is_one_clear_line_and_no_success(begin: Boot) -> None:
    machine = begin("bookworm", booted=True)
    machine.right("mkdir -p /etc/tidegate")
    configure(machine)
    with closing(machine.listen(80)):
        done = machine.run(INSTALL)
    assert done.status == 1
    said = done.err.strip().splitlines()[-1]
    assert "the service does not start" in said
    assert ":80" in said
    assert "in use" in said


def test_a_variable_that_the_configuration_misses_is_one_clear_line(begin: Boot) -> None:
    machine = begin("bookworm", booted=True)
    machine.right("mkdir -p /etc/tidegate; echo WHO_AM_1=x > /etc/default/tidegate")
    configure(machine, "${WHO_AM_I}")
    done = machine.run(INSTALL)
    assert done.status == 1
    said = done.err.strip().splitlines()[-1]
    assert re.search(r"tidegate\.yaml:6:\d+: .*WHO_AM_I is not set", said), said


def another_version(machine: Machine, dist: Path) -> str:
    """The same program with other bytes (its archive has a remark at its end), offered in /mnt/more/next."""
    folder = machine.more / "next"
    folder.mkdir()
    name = f"tidegate-linux-{os.uname().machine}"
    content = (dist / name).read_bytes()
    assert content.endswith(b"\0\0"), "the archive has no remark"
    changed = content[:-2] + b"\x04\0next"
    (folder / name).write_bytes(changed)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(changed).hexdigest()}  {name}\n")
    return "sh /mnt/dist/install.sh --from /mnt/more/next"


def test_an_upgrade_under_load_fails_nobody(begin: Boot, dist: Path) -> None:
    machine = begin("bookworm", booted=True)
    installed(machine)
    before = main_pid(machine)
    with upstream(machine), asked_without_end(machine) as wrong:
        assert "upgraded: process" in machine.right(another_version(machine, dist))
    assert wrong == []
    after = main_pid(machine)
    assert after not in {0, before}
    assert machine.right("systemctl is-active tidegate").strip() == "active"
    until(lambda: not machine.path(f"/proc/{before}").exists(), "the old process is gone")
    assert machine.get(80, "/which") == (200, b"first")
    machine.right("systemctl reload tidegate")
    machine.right("systemctl stop tidegate")
    told = machine.right("systemctl show -p Result --value tidegate").strip()
    assert told == "success", machine.right("journalctl -u tidegate -n 30 --no-pager")


def test_an_older_configuration_is_refused_with_its_place_and_the_old_process_stays(begin: Boot, dist: Path) -> None:
    machine = begin("bookworm", booted=True)
    installed(machine)
    before = main_pid(machine)
    configure(machine, "second", CONFIG + "worker_processes: 4\n")
    done = machine.run(another_version(machine, dist))
    assert "goes on with the old program" in done.err
    assert re.search(r"tidegate\.yaml:\d+:1: .*worker_processes", done.err)
    assert main_pid(machine) == before
    assert machine.get(80, "/which") == (200, b"first")


def test_systemd_holds_the_sockets_while_the_service_is_down(begin: Boot) -> None:
    machine = begin("bookworm", booted=True)
    installed(machine)
    machine.right("systemctl stop tidegate; tidegate service socket > /etc/systemd/system/tidegate.socket")
    machine.right("systemctl daemon-reload; systemctl start tidegate.socket")
    assert machine.get(80, "/which") == (200, b"first"), "the first connection starts it"
    first = main_pid(machine)
    machine.right("systemctl restart tidegate")
    assert machine.get(80, "/which") == (200, b"first")
    assert main_pid(machine) != first


def test_the_watchdog_ends_a_process_that_hangs_and_a_new_one_serves(begin: Boot) -> None:
    machine = begin("bookworm", booted=True)
    machine.right("mkdir -p /etc/systemd/system/tidegate.service.d")
    machine.path("/etc/systemd/system/tidegate.service.d/quick.conf").write_text("[Service]\nWatchdogSec=2s\n")
    installed(machine)
    first = main_pid(machine)
    machine.right(f"kill -STOP {first}")
    until(lambda: main_pid(machine) not in {0, first}, "systemd starts another", 60)
    until(lambda: machine.run("systemctl is-active tidegate").status == 0, "it serves", 30)
    assert machine.get(80, "/which") == (200, b"first")
