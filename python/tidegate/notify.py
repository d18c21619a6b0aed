"""Tells systemd how the process is doing: sd_notify(3), one datagram a message."""

import os
import socket
import time


class Notifier:
    """Speaks to `$NOTIFY_SOCKET`; without one every method does nothing."""

    def __init__(self, environ: "os._Environ[str] | dict[str, str]" = os.environ) -> None:
        self.environ = {name: environ[name] for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC") if name in environ}
        """What a process needs that takes over from this one."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = _watchdog_s(environ)
        # Children (hooks may start some) must not speak in our name.
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(name, None)

    def ready(self, status: str) -> None:
        """Serving, for the first time or again after a reload."""
        self._send(f"READY=1\nSTATUS={_line(status)}\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it. The time is what Type=notify-reload asks for."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def hand_over(self, pid: int) -> None:
        """Another process is the service from now on, and speaks for it."""
        self._send(f"MAINPID={pid}")
        self._address = None

    def alive(self) -> None:
        """The watchdog's ping; due every `watchdog_s` where that is set."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), self._address)
        except OSError:
            pass  # a supervisor that does not listen is not our failure


def _address(text: str) -> str | None:
    if text.startswith("/"):
        return text
    if text.startswith("@"):
        return "\0" + text[1:]  # Linux's abstract namespace
    return None


def _watchdog_s(environ: "os._Environ[str] | dict[str, str]") -> float | None:
    try:
        usec = int(environ.get("WATCHDOG_USEC", "0"))
        pid = int(environ.get("WATCHDOG_PID", "0"))
    except ValueError:
        return None
    if usec <= 0 or pid not in (0, os.getpid()):
        return None
    return usec / 2_000_000  # twice as often as asked, as sd_watchdog_enabled(3) advises


def _line(text: str) -> str:
    return " ".join(text.split())
