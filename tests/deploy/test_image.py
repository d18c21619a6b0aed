"""The container image: built by buildah from nothing, run as nobody on a read-only disk; and the compose examples."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.deploy.conftest import ROOT
from tests.support.client import once
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
MOST_BYTES = 60_000_000


class Buildah:
    """With a store of its own, and nothing that needs more than root."""

    def __init__(self, folder: Path) -> None:
        self.base = ["buildah", "--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self.environ = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}

    def __call__(self, *words: str) -> str:
        done = subprocess.run([*self.base, *words], capture_output=True, text=True, check=False, env=self.environ)
        assert done.returncode == 0, f"buildah {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()


@pytest.fixture(scope="module")
def buildah(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    folder = tmp_path_factory.mktemp("image")
    subprocess.run(
        [str(ROOT / "tools/binary/image"), str(dist), str(folder / "image")], check=True, capture_output=True
    )
    made = Buildah(folder)
    made(
        "build",
        "--format",
        "docker",
        "--timestamp",
        "0",
        "-t",
        "tidegate",
        "-f",
        str(ROOT / "deploy/Dockerfile"),
        str(folder / "image"),
    )
    yield made
    made("rm", "--all")


def test_the_image_is_small_is_nobody_and_knows_how_to_be_asked_and_stopped(buildah: Buildah) -> None:
    (image,) = json.loads(buildah("images", "--json"))
    size = image["size"]
    assert float(size.split()[0]) < MOST_BYTES / 1e6, size
    config = json.loads(buildah("inspect", "--type", "image", "tidegate"))["Docker"]["config"]
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGQUIT"
    assert config["Healthcheck"]["Test"][:3] == ["CMD", "/usr/bin/tidegate", "healthcheck"]
    assert config["Entrypoint"] == ["/usr/bin/tidegate"]


def test_the_image_serves_drains_on_its_stop_signal_and_has_no_shell(buildah: Buildah, tmp_path: Path) -> None:
    container = buildah("from", "--pull-never", "localhost/tidegate")
    root = Path(buildah("mount", container))
    assert not list(root.glob("**/sh")), "no shell"
    listening = tmp_path / "listen.sock"
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    # `buildah run` does not make the disk read-only: the namespace around it does, as a runtime would.
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]
    program = (
        'mount --bind "$0" "$0"; mkdir -p "$0/proc" "$0/tmp"; mount -t proc proc "$0/proc"; '
        'mount --bind "$1" "$0/tmp"; '
        'mount -o remount,ro,bind "$0"; exec env -i PATH=/usr/sbin:/usr/bin TIDEGATE_LISTEN=unix:/tmp/listen.sock '
        "TIDEGATE_ADMIN=unix:/tmp/admin.sock "
        'chroot --userspec=65532:65532 "$0" /usr/bin/tidegate run -c /etc/tidegate/tidegate.yaml'
    )
    process = subprocess.Popen(
        [*words, program, str(root), str(tmp_path)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        until(listening.exists, "it listens")
        assert once(f"unix:{listening}").status == 502, "there is no upstream"
        admin = tmp_path / "admin.sock"
        told = subprocess.run(
            [str(root / "usr/bin/tidegate"), "healthcheck", "--url", f"unix:{admin}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (told.returncode, told.stdout) == (0, "ready\n"), told.stderr
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGQUIT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "file", sorted((ROOT / "deploy/compose").glob("*/compose.yaml")), ids=lambda file: file.parent.name
)
def test_a_compose_example_is_hardened_and_its_configuration_is_right(file: Path, binary: Path) -> None:
    services = yaml.safe_load(file.read_text())["services"]
    tidegate = services["tidegate"]
    assert tidegate["read_only"] is True
    assert tidegate["cap_drop"] == ["ALL"]
    (mounted,) = [volume.split(":")[0] for volume in tidegate["volumes"] if "tidegate.yaml" in volume]
    environ = {
        name: str(value) if "$" not in str(value) else "x" * 32
        for name, value in tidegate.get("environment", {}).items()
    }
    config = str(file.parent / mounted)
    done = subprocess.run(
        [str(binary), "check", "-c", config],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environ},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
