"""The single file alone: what it needs, how fast and how small it is, and that it is built the same twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from tests.deploy.conftest import ROOT, Boot
from tests.support.machine import Machine
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
LIBRARIES = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "libutil.so.1", "librt.so.1")
"""The C library, which is several files; from glibc 2.34 on all but the first two are empty."""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A root with a C library and a shell, and nothing else."""
    root = tmp_path / "bare"
    for folder in ("lib64", "lib/x86_64-linux-gnu", "bin", "usr/local", "etc", "root", "home/u"):
        (root / folder).mkdir(parents=True)
    shutil.copy("/lib64/ld-linux-x86-64.so.2", root / "lib64")
    for name in LIBRARIES:
        shutil.copy(f"/lib/x86_64-linux-gnu/{name}", root / "lib/x86_64-linux-gnu")
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "env", "cat", "sleep", "find", "mkdir", "mount", "chmod", "kill", "umount"):
        (root / "bin" / name).symlink_to("busybox")
    return root


def serve(machine: Machine, *before: str) -> None:
    """Starts it in the background, with the welcome page on port 80, and waits until it serves."""
    program = " ".join(
        [*before, "/mnt/dist/tidegate-linux-$(uname -m) run --state /state --listen 127.0.0.1:80 --workers 1"]
    )
    machine.right(
        f"mkdir -p /state; {program.replace('$(uname -m)', os.uname().machine)} >/mnt/more/log 2>&1 & "
        "echo $! >/mnt/more/pid"
    )
    try:
        until(lambda: answers(machine), "it answers")
    except AssertionError:
        raise AssertionError((machine.more / "log").read_text()) from None


def answers(machine: Machine) -> bool:
    try:
        return machine.get(80)[0] == 200
    except OSError:
        return False


def test_the_sums_are_those_of_the_files(dist: Path) -> None:
    lines = (dist / "SHA256SUMS").read_text().splitlines()
    told = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = [path for path in dist.iterdir() if path.name not in ("SHA256SUMS", "install.sh")]
    assert len(files) >= 3
    for path in files:
        assert told[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_small_and_wants_no_newer_library_than_it_says(binary: Path) -> None:
    assert binary.stat().st_size <= 45_000_000
    told = subprocess.run(["objdump", "-T", str(binary)], check=True, capture_output=True, text=True).stdout
    versions = {
        tuple(map(int, word.strip("()")[6:].split(".")))
        for word in told.split()
        if word.strip("()").startswith("GLIBC_2")
    }
    assert max(versions) <= (2, 31)


def test_quick_verbs_start_no_python(binary: Path) -> None:
    for command in (["version"], ["-v"], ["healthcheck", "--url", "http://127.0.0.1:1/"]):
        told = subprocess.run(
            ["strace", "-f", "-e", "trace=openat", str(binary), *command], capture_output=True, text=True, check=False
        )
        assert "zipimport" not in told.stderr
        assert str(binary) not in told.stderr, "it did not look into its archive"
    began = time.perf_counter()
    for _ in range(5):
        subprocess.run([str(binary), "version"], check=True, capture_output=True)
    assert (time.perf_counter() - began) / 5 < 0.5, "0.05 s on a machine that does nothing else"


def test_it_runs_with_nothing_but_a_c_library_and_a_read_only_disk(bare: Path, begin: Boot) -> None:
    machine = begin("", base=bare)
    machine.right("umount /tmp; mkdir -p /state; mount -t tmpfs tmpfs /state; mount -o remount,ro /")
    serve(machine)
    assert (machine.more / "pid").read_text().strip() != ""
    status = machine.right("cat /proc/$(cat /mnt/more/pid)/status")
    assert "Name:\ttidegate" in status
    children = machine.right("cat /proc/$(cat /mnt/more/pid)/task/$(cat /mnt/more/pid)/children")
    assert children.strip() == "", "one process"


def test_it_runs_without_proc_by_way_of_a_folder(bare: Path, begin: Boot) -> None:
    machine = begin("", base=bare)
    machine.right("umount /proc")
    serve(machine, "PATH=/bin")


def test_it_loads_tls_and_the_database_on_the_oldest_library(begin: Boot) -> None:
    machine = begin("bullseye")
    (machine.more / "hooks.py").write_text(
        "import decimal, json, sqlite3, ssl, hashlib, zoneinfo, xml.etree.ElementTree, asyncio, uvloop\n"
        "from cryptography.x509 import load_pem_x509_certificate\n"
        "import tidegate\n"
        "def say(request):\n"
        "    ssl.create_default_context()\n"
        "    found = sqlite3.connect(':memory:').execute('select 1').fetchone()\n"
        "    digest = hashlib.sha256(b'').hexdigest()[:4]\n"
        "    return tidegate.answer(200, {'tls': ssl.OPENSSL_VERSION, 'sum': digest, 'sql': found})\n"
    )
    (machine.more / "tidegate.yaml").write_text("listeners: [127.0.0.1:81]\nroutes: [{hook: 'hooks:say'}]\n")
    machine.right(
        "cd /mnt/more; /mnt/dist/tidegate-linux-$(uname -m) run --state /tmp/s -c tidegate.yaml >/mnt/more/log 2>&1 &"
    )

    def told() -> dict[str, object] | None:
        try:
            return dict(json.loads(machine.get(81)[1]))
        except OSError:
            return None

    said = until(told, "the hook answers", 30)
    assert said is not None
    assert str(said["tls"]).startswith("OpenSSL 3")
    assert (said["sum"], said["sql"]) == ("e3b0", [1])


def test_idle_memory_and_the_way_to_the_first_answer(bare: Path, begin: Boot) -> None:
    machine = begin("", base=bare)
    began = time.perf_counter()
    serve(machine)
    assert time.perf_counter() - began < 5, "0.3 s on a machine that does nothing else"
    status = dict(line.split(":", 1) for line in machine.right("cat /proc/$(cat /mnt/more/pid)/status").splitlines())
    assert int(status["VmRSS"].split()[0]) <= 45_000, "KiB"


def test_the_archive_is_the_same_wherever_it_is_made(tmp_path: Path) -> None:
    """Of the package and the first module, which is what differs from checkout to checkout."""
    program = (
        "import sys, hashlib; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1] + '/tools/binary'); import archive\n"
        "entries = dict(archive.package(Path(sys.argv[1]) / 'python/tidegate', 'tidegate', data=True))\n"
        "print(hashlib.sha256(archive.packed(entries)).hexdigest())"
    )
    copy = tmp_path / "elsewhere"
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python", copy / "python", ignore=ignore)
    shutil.copytree(ROOT / "tools", copy / "tools", ignore=ignore)
    made = set()
    for root, seed in ((ROOT, "1"), (copy, "2"), (copy, "3")):
        command = ["/usr/bin/python3.11", "-c", program, str(root)]
        environ = {"PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]}
        made.add(subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout)
    assert len(made) == 1


def test_the_bill_of_materials_names_what_is_inside(dist: Path, binary: Path) -> None:
    bill = json.loads((dist / f"{binary.name}.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["hashes"][0]["content"] == hashlib.sha256(binary.read_bytes()).hexdigest()
    parts = {part["purl"].split("@")[0]: part for part in bill["components"]}
    for name in (
        "pkg:cargo/tokio",
        "pkg:cargo/rustls",
        "pkg:pypi/uvloop",
        "pkg:deb/debian/libssl-dev",
        "pkg:deb/debian/libpython3.11-dev",
    ):
        assert parts[name]["version"]
    unlicensed = [name for name, part in parts.items() if not name.startswith("pkg:deb") and "licenses" not in part]
    assert unlicensed == []
    told = (dist / "LICENSES.txt").read_text()
    assert all(part["name"] in told for part in parts.values())
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in told


def test_the_bill_of_materials_is_valid(dist: Path, binary: Path) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    problem = validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(
        (dist / f"{binary.name}.cdx.json").read_text()
    )
    assert problem is None, problem
