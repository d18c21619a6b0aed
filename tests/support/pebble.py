"""A real ACME server: Let's Encrypt's own small one for tests, with a DNS server that leads every name here."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.certificates import Authority
from tests.support.gateway import Lines, program
from tests.support.waiting import until


def free_ports(count: int) -> list[int]:
    """Ports that nobody has: both ends must know them before either starts."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Pebble:
    """One authority, which looks for proofs at the ports `http` and `tls`."""

    def __init__(self, folder: Path, *, eab: dict[str, str] | None = None, blocked: tuple[str, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.http, self.tls, self._port, self._management, dns, dns_management = free_ports(6)
        self.authority = Authority(folder, "Directory CA")
        self.ca = self.authority.file
        own = self.authority.sign("127.0.0.1", "localhost", stem="directory")
        own.write()
        config: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{self._port}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": own.cert_file,
            "privateKey": own.key_file,
            "httpPort": self.http,
            "tlsPort": self.tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": eab is not None,
            "externalAccountMACKeys": eab or {},
            "domainBlocklist": list(blocked),
            "retryAfter": {"authz": 0, "order": 0},
            "keyAlgorithm": "ecdsa",
            "profiles": {"default": {"description": "as usual", "validityPeriod": 7_776_000}},
        }
        self._file = folder / "pebble.json"
        self._file.write_text(json.dumps({"pebble": config}))
        self._dns = f"127.0.0.1:{dns}"
        none = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]
        here = ["-dnsserver", self._dns, "-management", f"127.0.0.1:{dns_management}", "-defaultIPv6", ""]
        self._names = self._run([program("pebble-challtestsrv"), *none, *here])
        self.process = self.start()

    @property
    def directory(self) -> str:
        return f"https://127.0.0.1:{self._port}/dir"

    def start(self) -> subprocess.Popen[bytes]:
        """A new process, which knows nothing of what the one before knew."""
        self.process = self._run([program("pebble"), "-config", str(self._file), "-dnsserver", self._dns])
        assert self.process.stdout is not None
        self.said = Lines(self.process.stdout)
        until(self._answers, "pebble answers")
        return self.process

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.said.join()

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self._names.kill()
        self._names.wait()
        assert self._names.stdout is not None
        self._names.stdout.close()

    @property
    def orders(self) -> int:
        """How many it has taken."""
        return sum("order-plz" in line and "POST" in line for line in self.said.all())

    def root(self) -> str:
        """A file with what signs its certificates."""
        file = self.folder / "root.pem"
        file.write_bytes(self._get(f"https://127.0.0.1:{self._management}/roots/0"))
        return str(file)

    def _get(self, url: str) -> bytes:
        trust = ssl.create_default_context(cafile=self.ca)
        with urllib.request.urlopen(url, context=trust, timeout=10) as answer:
            content: bytes = answer.read()
            return content

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said.text
        try:
            return bool(self._get(self.directory))
        except OSError:
            return False

    @staticmethod
    def _run(command: list[str]) -> subprocess.Popen[bytes]:
        quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
        return subprocess.Popen(command, env={**os.environ, **quick}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
