"""A real nginx as an upstream, on a free port that it inherits already bound."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from tests.support.gateway import program

CONFIG = """\
daemon off; worker_processes 1; {user} pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/nginx.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  types {{ text/html html; text/css css; application/octet-stream bin; text/plain txt; }}
  client_max_body_size 64m;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/site;
    location /gz/ {{ gzip on; gzip_min_length 1; gzip_types *; }}
    location /put/ {{ dav_methods PUT; create_full_put_path on; }}
    location /old {{ return 301 /new.txt; }}
    location /cookie {{
      add_header Set-Cookie "a=1; Path=/"; add_header Set-Cookie "b=2; Path=/"; return 200 "$http_cookie";
    }}
    location /seen {{ return 200 "$request_method $request_uri $http_host $http_x_forwarded_for"; }}
  }}
}}
"""


class Nginx:
    """Serves `site`, a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        self.site.mkdir(parents=True, exist_ok=True)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        user = "user root;" if os.getuid() == 0 else ""  # else its workers could not read the site
        (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, user=user))
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "nginx.err")],
            # A binary upgrade's way of handing sockets on: there is no moment at which the port is not ours.
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
            pass_fds=(listener.fileno(),),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        listener.close()  # it listens already: what connects before nginx is up waits for it

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
