"""Real servers that speak no HTTP, or read PROXY headers: PostgreSQL, Redis, openssl, HAProxy, nginx."""

from __future__ import annotations

import glob
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.support.gateway import Lines, program
from tests.support.waiting import until


class Postgres:
    """A database cluster of its own, on a Unix socket; run as `postgres` where we are root, which it refuses to be."""

    def __init__(self) -> None:
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        assert found, "postgresql is not installed: tools/peers"
        self._bin = Path(found[-1]).parent
        # A short path: sockets have no room for long ones.
        self.folder = Path(tempfile.mkdtemp(prefix="tgpg"))
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, pwd.getpwnam(self._user).pw_uid)
        self.folder.chmod(0o755)
        data = self.folder / "data"
        self._run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync")
        self.address = f"unix:{self.folder}/.s.PGSQL.5432"
        self._process = subprocess.Popen(
            [
                *(str(self._bin / "postgres"), "-D", str(data), "-k", str(self.folder), "-F"),
                *("-c", "listen_addresses=", "-c", "shared_buffers=1MB"),
            ],
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._is_ready, "PostgreSQL to be ready", 30)

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._bin / name), *arguments], user=self._user, cwd=self.folder, check=True, capture_output=True
        )

    def _is_ready(self) -> bool:
        asked = subprocess.run(["pg_isready", "-q", "-h", str(self.folder)], check=False)
        return asked.returncode == 0

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis:
    """A Redis server on a Unix socket."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tgrd"))
        self.address = f"unix:{self.folder}/s"
        self._process = subprocess.Popen(
            [program("redis-server"), "--port", "0", "--unixsocket", f"{self.folder}/s", "--save", "", "--dir", "/tmp"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until((self.folder / "s").exists, "Redis to be ready")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class OpenSsl:
    """`openssl s_server`, which answers HTTP with a page about the connection."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._process = subprocess.Popen(
            [program("openssl"), "s_server", "-accept", "127.0.0.1:0", "-cert", str(cert), "-key", str(key), "-www"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self._said = Lines(self._process.stdout)
        self.url = "tcp://" + self._said.wait(r"ACCEPT (127\.0\.0\.1:\d+)")[1]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._said.join()
        if self._process.stdin is not None:
            self._process.stdin.close()


HAPROXY = """\
global
  maxconn 100
defaults
  mode http
  timeout client 10s
  timeout connect 5s
  timeout server 10s
frontend seen
  bind fd@{fd} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[fc_pp_authority] %[dst_port]"
"""

NGINX = """\
daemon off; worker_processes 1; {user} pid {folder}/nginx.pid; error_log {folder}/nginx.err info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} proxy_protocol;
    location / {{ return 200 "$proxy_protocol_addr:$proxy_protocol_port $connection $connection_requests"; }}
  }}
}}
"""


class ProxyReader:
    """HAProxy or nginx; both answer requests with what a PROXY header told them, and refuse connections without one."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        listener = socket.create_server(("127.0.0.1", 0))
        port, fd = listener.getsockname()[1], listener.fileno()
        self.address = f"127.0.0.1:{port}"
        self.errors = folder / "nginx.err"
        if name == "haproxy":
            file = folder / "haproxy.cfg"
            file.write_text(HAPROXY.format(fd=fd))
            command, environment = [program("haproxy"), "-db", "-f", str(file)], {**os.environ}
        else:
            file = folder / "nginx.conf"
            user = "user root;" if os.getuid() == 0 else ""
            file.write_text(NGINX.format(folder=folder, port=port, user=user))
            command = [program("nginx"), "-c", str(file), "-p", str(folder), "-e", str(self.errors)]
            environment = {**os.environ, "NGINX": f"{fd};"}
        self._process = subprocess.Popen(
            command, env=environment, pass_fds=(fd,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        listener.close()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def port_of(text: str) -> int:
    """The number behind the last colon of an address at the start of a text."""
    found = re.match(r"\S*:(\d+)", text)
    assert found, text
    return int(found[1])
