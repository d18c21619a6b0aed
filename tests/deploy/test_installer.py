"""`install.sh` on clean machines: what it puts where, what it takes away again, and what it says when it can't."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.deploy.conftest import Boot
from tests.support.machine import Machine

pytestmark = pytest.mark.timeout(300)
INSTALL = "sh /mnt/dist/install.sh --from /mnt/dist"
BIN = "/usr/local/bin/tidegate"
MUSL = (
    "touch /lib/ld-musl-x86_64.so.1; rm /lib64/ld-linux-x86-64.so.2; "
    "/mnt/more/busybox sh /mnt/dist/install.sh --from /mnt/dist"
)


def offer(machine: Machine, dist: Path) -> Path:
    """A copy of what is to be installed, in /mnt/more/dist, for a test to spoil."""
    folder = machine.more / "dist"
    shutil.copytree(dist, folder)
    return folder


def only_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


def test_root_installs_under_usr_local_and_what_was_installed_goes_again(suite: str, begin: Boot) -> None:
    machine = begin(suite)
    before = machine.files()
    assert "installed tidegate" in machine.right(INSTALL)
    assert machine.right("tidegate version").startswith("tidegate ")
    assert "glibc" in machine.right("tidegate version --all")
    added = machine.files() - before
    assert {"/usr/local/bin/tidegate", "/usr/local/share/man/man1/tidegate.1"} <= added
    assert all(name.startswith("/usr/local/") for name in added), "no service where systemd does not run"
    assert "removed" in machine.right("sh /mnt/dist/install.sh --uninstall")
    assert machine.files() == before


def test_a_second_run_changes_nothing(begin: Boot) -> None:
    machine = begin("bookworm")
    machine.right(INSTALL)
    stamps = "find /usr/local /etc -type f -newer /mnt/dist/SHA256SUMS -printf '%p %i %T@\\n' | sort"
    before = machine.right(stamps)
    assert "is up to date" in machine.right(INSTALL)
    assert machine.right(stamps) == before


def test_an_ordinary_user_installs_at_home_and_no_profile_is_touched(suite: str, begin: Boot) -> None:
    machine = begin(suite)
    machine.right("mkdir /home/u; cp -r /etc/skel/. /home/u; chown -R 1000:1000 /home/u")
    before = machine.files()
    profiles = machine.right("cat /home/u/.profile /home/u/.bashrc")
    said = machine.right(INSTALL, user=1000)
    assert "/home/u/.local/bin is not in PATH" in said
    assert machine.right("~/.local/bin/tidegate version", user=1000).startswith("tidegate ")
    assert all(name.startswith("/home/u/.local") for name in machine.files() - before)
    assert machine.right("cat /home/u/.profile /home/u/.bashrc") == profiles
    machine.right("sh /mnt/dist/install.sh --purge", user=1000)
    assert machine.files() == before


def test_a_dry_run_only_tells(begin: Boot) -> None:
    machine = begin("bookworm")
    before = machine.files()
    assert f"would install tidegate-linux-x86_64 from /mnt/dist as {BIN}" in machine.right(
        f"{INSTALL} --dry-run --service"
    )
    assert machine.files() == before


@pytest.mark.parametrize("spoil", ["changed", "cut"])
def test_a_damaged_file_is_not_installed(spoil: str, begin: Boot, dist: Path) -> None:
    machine = begin("bookworm")
    file = next(offer(machine, dist).glob("tidegate-linux-*[!n]"))
    with file.open("r+b") as content:
        if spoil == "cut":
            content.truncate(1_000_000)
        else:
            content.seek(5_000_000)
            content.write(b"\0evil")
    before = machine.files()
    done = machine.run("sh /mnt/dist/install.sh --from /mnt/more/dist")
    assert done.status == 1
    assert "is damaged or was changed" in only_line(done.err)
    assert machine.files() == before


def test_a_script_that_was_cut_does_nothing(begin: Boot, dist: Path) -> None:
    machine = begin("bookworm")
    script = (dist / "install.sh").read_bytes()
    before = machine.files()
    for size in range(300, len(script) - 1, 1_111):
        (machine.more / "install.sh").write_bytes(script[:size])
        machine.run("sh /mnt/more/install.sh --from /mnt/dist")
        assert machine.files() == before, f"the first {size} bytes did something"


def test_a_full_disk_leaves_nothing_half_installed(begin: Boot) -> None:
    machine = begin("bookworm")
    machine.right("mount -t tmpfs -o size=20m tmpfs /usr/local")
    done = machine.run(INSTALL)
    assert done.status == 1
    assert "is the disk full?" in only_line(done.err)
    assert machine.right("find /usr/local -type f") == ""


def test_a_disk_that_fills_up_late_keeps_the_old_version_whole(begin: Boot, binary: Path) -> None:
    machine = begin("bookworm")
    size = binary.stat().st_size // 4096 * 4 + 8
    machine.right(
        f"mount -t tmpfs -o size={size}k tmpfs /usr/local; mkdir /usr/local/bin; echo old > /usr/local/bin/tidegate"
    )
    done = machine.run(INSTALL)
    assert done.status == 1
    assert "is the disk full?" in only_line(done.err)
    assert machine.right("find /usr/local -type f") == "/usr/local/bin/tidegate\n"
    assert machine.right("cat /usr/local/bin/tidegate") == "old\n"


def test_no_permission_is_said_in_one_line(begin: Boot) -> None:
    done = begin("bookworm").run(f"{INSTALL} --prefix /usr/local", user=1000)
    assert done.status == 1
    assert "no permission" in only_line(done.err)


def test_a_service_takes_root(begin: Boot) -> None:
    done = begin("bookworm").run(f"{INSTALL} --service", user=1000)
    assert (done.status, "--service takes root" in only_line(done.err)) == (1, True)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sh /mnt/dist/install.sh", "say where to get it"),
        ("TIDEGATE_BASE_URL=https://nowhere.invalid sh /mnt/dist/install.sh", "neither curl nor wget is here"),
        ("TIDEGATE_BASE_URL=http://nowhere.invalid sh /mnt/dist/install.sh", "only https:// is fetched from"),
        ("TIDEGATE_VERISON=2 sh /mnt/dist/install.sh --from /mnt/dist", "unknown variable TIDEGATE_VERISON"),
        ("sh /mnt/dist/install.sh --form /mnt/dist", "unknown option --form"),
        ("sh /mnt/dist/install.sh --from", "--from takes a value"),
        ("sh /mnt/dist/install.sh --from /nowhere", "there is no such folder"),
        ("sh /mnt/dist/install.sh --from /etc", "there is no tidegate-linux-"),
        (f"{INSTALL} --sha256 00", "is not what was asked for"),
        ("sh /mnt/dist/install.sh --uninstall", "nothing is installed under /usr/local"),
        (MUSL, "C library is musl"),
    ],
)  # fmt: skip
def test_what_can_not_be_done_is_said_in_one_line(command: str, said: str, begin: Boot) -> None:
    machine = begin("bookworm")
    shutil.copy("/bin/busybox", machine.more / "busybox")
    if "busybox" in command:  # nothing of the system's runs once its loader is gone
        command = command.replace("touch", "/mnt/more/busybox touch").replace(
            "rm /", "PATH=/mnt/more/bin; /mnt/more/busybox rm /"
        )
        machine.right("mkdir /mnt/more/bin; /mnt/more/busybox --install /mnt/more/bin")
    before = machine.files() if "busybox" not in command else set()
    done = machine.run(command)
    assert done.status == 1
    assert said in only_line(done.err)
    if before:
        assert machine.files() == before


def test_a_wrong_machine_and_an_old_library_are_told_by_name(begin: Boot) -> None:
    machine = begin("bookworm")
    for fake, said in (
        ("uname() { [ $1 = -m ] && echo riscv64 || echo Linux; }", "there is no single file for riscv64"),
        ("uname() { echo Darwin; }", "is for Linux, and this is Darwin"),
        ("getconf() { echo glibc 2.28; }", "glibc is 2.28, and the single file needs 2.31"),
    ):
        done = machine.run(f"{fake}; set -- --from /mnt/dist; . /mnt/dist/install.sh")
        assert done.status == 1
        assert said in only_line(done.err)


def test_a_program_under_the_new_one_goes_on(begin: Boot) -> None:
    """The file is replaced in one step, so a process keeps the old one to its end."""
    machine = begin("bookworm")
    machine.right(INSTALL)
    machine.right("tidegate run --listen 127.0.0.1:80 --to http://127.0.0.1:1 >/dev/null 2>&1 & echo $! > /run/pid")
    machine.right("for i in $(seq 500); do tidegate healthcheck 2>/dev/null && exit 0; sleep 0.02; done; exit 1")
    machine.right(f"cp {BIN} {BIN}.old; mv {BIN}.old {BIN}; {INSTALL}")
    assert machine.get(80)[0] == 502
    machine.right("tidegate stop --now")
