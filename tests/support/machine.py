"""Clean machines for what is installed: namespaces over a copy-on-write root, with no Python and no network."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import http.client
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.waiting import until

ROOTS = Path(__file__).parents[2] / "target" / "roots"
SUITES = {"bookworm": "2.36", "bullseye": "2.31"}
"""Debian 12 and 11, and their C libraries."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE_S = 90
ENTER = ("-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w")
BEGIN = """
mount --make-rprivate /
mount -t tmpfs -o size=1g tmpfs "$FOLDER"
mkdir "$FOLDER/up" "$FOLDER/work" "$FOLDER/root"
cd "$FOLDER/root"
mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$FOLDER/up,workdir=$FOLDER/work" .
cd "$FOLDER/root"
mkdir -p proc sys run tmp dev mnt/dist mnt/more
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount --bind "$DIST" mnt/dist
mount -o remount,ro,bind mnt/dist
mount --bind "$MORE" mnt/more
ip link set lo up
"""
"""What a container's runtime does, for a root in $FOLDER/root."""


def debian(suite: str) -> Path:
    """Debian's smallest system in a folder; made once, which takes the network, and kept under target/roots."""
    ROOTS.mkdir(parents=True, exist_ok=True)
    made = ROOTS / suite
    with (ROOTS / f".{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (ROOTS / f"{suite}.complete").exists():
            shutil.rmtree(made, ignore_errors=True)
            include = "--include=systemd,systemd-sysv,dbus,iproute2,logrotate"
            command = ["debootstrap", "--variant=minbase", include, suite, str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{shlex.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            assert not list(made.glob("usr/bin/python*")), "it is to be a machine without Python"
            (ROOTS / f"{suite}.complete").touch()
    return made


class Done:
    """What came of a command."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self) -> str:
        return f"status {self.status}\n{self.out}{self.err}"


class Machine:
    """A system of its own, whose files vanish with it.

    What is to be installed stands in /mnt/dist, what a test gives in /mnt/more.
    """

    def __init__(self, base: Path, folder: Path, dist: Path, *, booted: bool = False) -> None:
        self.more = folder / "more"
        self.more.mkdir(parents=True)
        place = folder / "machine"
        place.mkdir()
        environ = {"PATH": PATH, "BASE": str(base), "FOLDER": str(place), "DIST": str(dist), "MORE": str(self.more)}
        program = "/lib/systemd/systemd --system --unit=multi-user.target" if booted else "sleep 100000"
        script = f"set -eu\n{BEGIN}\necho begun\nexec env -i container=test PATH={PATH} chroot . {program}"
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc", "--cgroup"]
        self._log = (folder / "machine.log").open("w")
        self._process = subprocess.Popen(
            [*unshare, "sh", "-c", script], env=environ, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self._process.stdout is not None
        begun = self._process.stdout.readline()
        assert begun == "begun\n", (folder / "machine.log").read_text()
        (child,) = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self.pid = int(child)
        """Of its first process, as we see it."""
        until(lambda: os.readlink(f"/proc/{self.pid}/root") != "/", "the root is another")
        if booted:
            until(self._is_up, "systemd has started everything", PATIENCE_S)

    def run(self, command: str, *, user: int = 0, **environ: str) -> Done:
        """Runs a shell's command as a user, and waits for it."""
        home = "/root" if user == 0 else "/home/u"
        words = [
            *self.enter(),
            "-S",
            str(user),
            "-G",
            str(user),
            "env",
            "-i",
            f"PATH={PATH}",
            f"HOME={home}",
            "LC_ALL=C.UTF-8",
        ]
        words += [f"{name}={value}" for name, value in environ.items()]
        done = subprocess.run(
            [*words, "sh", "-c", command], capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        return Done(done)

    def right(self, command: str, *, user: int = 0, **environ: str) -> str:
        """What a command prints that must go well."""
        done = self.run(command, user=user, **environ)
        assert done.status == 0, f"{command}: {done}"
        return done.out

    def enter(self, *kinds: str) -> list[str]:
        """The command that begins another one in these namespaces (as nsenter names them), all of them unless given."""
        return ["nsenter", "-t", str(self.pid), *(kinds or ENTER)]

    def path(self, name: str) -> Path:
        """A file of its, as we see it."""
        return Path(f"/proc/{self.pid}/root") / name.lstrip("/")

    def connect(self, port: int, host: str = "127.0.0.1") -> socket.socket:
        """A connection within it."""
        return self._within(lambda: socket.create_connection((host, port), timeout=PATIENCE_S))

    def listen(self, port: int = 0) -> socket.socket:
        """A socket that listens within it."""
        return self._within(lambda: socket.create_server(("127.0.0.1", port)))

    def get(self, port: int, target: str = "/") -> tuple[int, bytes]:
        """Status and body of one GET."""
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.sock = self.connect(port)
        try:
            connection.request("GET", target, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _within(self, make: Callable[[], socket.socket]) -> socket.socket:
        """A socket belongs for ever to the network of the thread that made it."""

        def work() -> socket.socket:
            with open(f"/proc/{self.pid}/ns/net", "rb") as network:
                if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), 0) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            return make()

        with ThreadPoolExecutor(1) as thread:  # its own: a thread does not come back
            return thread.submit(work).result(PATIENCE_S)

    def _is_up(self) -> bool:
        return self.run("systemctl is-system-running").out.strip() in {"running", "degraded"}

    def files(self) -> set[str]:
        """All there is, but for what is the kernel's or is no file at all."""
        return set(self.right("find / -xdev ! -type s").splitlines()) | set(
            self.right("find /run /dev -xdev").splitlines()
        )

    def close(self) -> None:
        """Everything in it ends and vanishes."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@contextlib.contextmanager
def machine(base: Path, folder: Path, dist: Path, *, booted: bool = False) -> Iterator[Machine]:
    """One for as long as the context lasts."""
    made = Machine(base, folder, dist, booted=booted)
    try:
        yield made
    finally:
        made.close()
