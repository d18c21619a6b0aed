"""What the documents tell people to type is typed here; the site builds; the reference is what the program says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.deploy.conftest import ROOT, Boot
from tests.support.machine import Machine
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks, without what is said beside them."""
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [command for line in lines if (command := re.sub(r"\s{2,}#.*$", "", line).strip())]


def begin_in_background(machine: Machine, command: str) -> None:
    machine.right(f"cd /mnt/more && {command} >/mnt/more/log 2>&1 &")
    until(lambda: machine.run("cd /mnt/more && tidegate healthcheck").status == 0, "it serves", 30)


def test_the_quick_start_works_as_it_is_written(begin: Boot, dist: Path) -> None:
    machine = begin("bookworm")
    machine.right("mkdir -p /mnt/more/target/binary && ln -s /mnt/dist /mnt/more/target/binary/dist")
    (machine.more / "install.sh").write_bytes((dist / "install.sh").read_bytes())
    typed = commands("docs/index.md")
    assert len(typed) == 7, typed
    for command in typed:
        if command.startswith("tidegate run"):
            begin_in_background(machine, command)
        else:
            machine.right(f"cd /mnt/more && {command}")
    assert machine.get(8080)[0] == 502, "there is nothing behind it yet"


def test_the_readmes_commands_work_as_they_are_written() -> None:
    """In a network of their own, where the ports are free."""
    if not (ROOT / ".venv/.installed").exists():
        pytest.skip("the wheel is not installed here: make wheel")
    typed = commands("README.md")
    assert typed[0] == "make run"
    assert all(command.startswith("curl ") for command in typed[1:3])
    script = "\n".join(
        [
            "ip link set lo up",
            f"{typed[0]} & server=$!",
            "trap 'kill $server' EXIT",
            "for i in $(seq 600); do curl -so /dev/null http://127.0.0.1:8080/ && break; sleep 0.1; done",
            *(f"{command} -fsS" for command in typed[1:3]),
        ]
    )
    words = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-ec", script]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"role":"assistant"' in done.stdout.replace(" ", "")


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site/reference/configuration/index.html").exists()


def test_the_reference_is_what_the_program_says(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "tools/reference"), str(tmp_path)], check=True, capture_output=True)
    for page in ("command-line.md", "configuration.md"):
        assert (ROOT / "docs/reference" / page).read_text() == (tmp_path / page).read_text(), "run tools/reference"


def test_shell_scripts_have_nothing_that_shellcheck_minds() -> None:
    scripts = ["deploy/install.sh", "tools/gotools", "tools/kubernetes", "tools/peers", "tools/run"]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
