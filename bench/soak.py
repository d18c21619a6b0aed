"""Ten minutes of mixed traffic, good and bad: memory and descriptors must be flat in the second half.

`python -m bench.soak [--minutes M] [--out DIR]` writes soak.json and exits with 1 where something grew or failed.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.load import host, meter
from bench.load.lab import Lab
from bench.load.rounds import TIDEGATE
from bench.load.settings import BENCH, Settings, raise_file_limit, tidegate_command

HOST = b"Host: soak.test\r\n"

BAD = (
    b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nhalf",
    b"GET / HTTP/1.1\r\n" + HOST,
)
"""Requests that are refused, or that break off."""

GROWTH_MOST = 0.02
"""How much larger the median of the last quarter may be than that of the second."""


def bad_requests(port: int, over: threading.Event, sent: list[int]) -> None:
    """About a hundred a second, each on a connection of its own; every other one does not wait for the answer."""
    while not over.wait(0.01):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
                client.sendall(BAD[sent[0] % len(BAD)])
                if sent[0] % 2:
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65_536):
                        pass
        except OSError:
            pass  # a reset is an answer as well
        sent[0] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=BENCH / "results")
    asked = parser.parse_args()
    settings = Settings(tidegate=tidegate_command(".venv/bin/tidegate"))
    raise_file_limit()
    seconds = int(asked.minutes * 60)
    samples: list[dict[str, float]] = []
    sent = [0]
    over = threading.Event()
    with Lab(settings) as lab:
        placement = settings.placement(1)
        origin = lab.origin(placement)
        running = lab.start(TIDEGATE, origin, placement)
        url = f"http://127.0.0.1:{running.port}"
        loads = [
            subprocess.Popen(
                ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", url + path],
                stdout=subprocess.PIPE,
                text=True,
            )
            for connections, path in ((16, "/"), (4, "/64k"))
        ]
        sender = threading.Thread(target=bad_requests, args=(running.port, over, sent), daemon=True)
        sender.start()
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(2)
            used = meter.memory(running.pids)
            descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in running.pids)
            samples.append({"seconds": time.monotonic() - began, "rss_mb": used.rss / 1e6, "descriptors": descriptors})
        over.set()
        sender.join()
        told = [load.communicate()[0] for load in loads]
    failed = [
        line.strip() for text in told for line in text.splitlines() if "Socket errors" in line or "Non-2xx" in line
    ]
    quarter = len(samples) // 4
    middle = statistics.median(sample["rss_mb"] for sample in samples[quarter : 2 * quarter])
    last = statistics.median(sample["rss_mb"] for sample in samples[-quarter:])
    verdict = {
        "what": "16 connections for 128 bytes, 4 for 64 KiB, closed loop, and about 100 bad requests a second",
        "host": host.describe(settings),
        "minutes": asked.minutes,
        "requests": sum(int(line.split()[0]) for text in told for line in text.splitlines() if "requests in" in line),
        "bad_requests": sent[0],
        "failed": failed,
        "rss_mb": {"second_quarter": round(middle, 2), "last_quarter": round(last, 2)},
        "descriptors": {"most": max(sample["descriptors"] for sample in samples), "last": samples[-1]["descriptors"]},
        "flat": last <= middle * (1 + GROWTH_MOST),
        "samples": samples[:: max(1, len(samples) // 60)],
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "soak.json").write_text(json.dumps(verdict, indent=1) + "\n")
    print(json.dumps({key: value for key, value in verdict.items() if key not in {"samples", "host"}}, indent=1))
    return 0 if verdict["flat"] and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
