"""Shakes hands with a TLS 1.3 server again and again, each time on a connection of its own, and says how often.

`python -m bench.load.handshakes PORT SECONDS full|resumed`: nothing is asked on the connections that are counted.
A resumed one goes on with the session of a first connection. The group is X25519, whatever the server prefers.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import time

_RESET = struct.pack("ii", 1, 0)


def main() -> int:
    """Prints `{"handshakes": N, "resumed": N, "seconds": S}`."""
    port, seconds, kind = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Whom it talks to is not what is measured.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session = _session(context, port) if kind == "resumed" else None
    done = resumed = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        opened = _connect(context, port, session)
        resumed += bool(opened.session_reused)
        done += 1
        # The port is free again at once.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        opened.close()
    print(json.dumps({"handshakes": done, "resumed": resumed, "seconds": time.perf_counter() - began}))
    return 0


def _connect(context: ssl.SSLContext, port: int, session: ssl.SSLSession | None) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="bench.test", session=session)


def _session(context: ssl.SSLContext, port: int) -> ssl.SSLSession:
    """In TLS 1.3 it comes with the first answer."""
    with _connect(context, port, None) as opened:
        opened.sendall(b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n")
        opened.recv(4096)
        if opened.session is None or not opened.session.has_ticket:
            raise SystemExit("the server gave no ticket")
        return opened.session


if __name__ == "__main__":
    sys.exit(main())
