"""The verbs that set a machine up: what they write is right, and follows the command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tidegate import cli
from tidegate.cli.setup import PIECES, SHELLS
from tidegate.cli.tree import tree
from tidegate.load import load
from tidegate.starter import Wishes, ask, starter

TOP = tree(cli.parser())
COMPLETED = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(arguments) == 0
    return capsys.readouterr().out


def test_a_first_configuration_loads_and_does_what_was_wished(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.yaml"
    file.write_text(starter(Wishes(":8081", ["http://a:1", "http://b:2"], "openai")))
    config = load(str(file)).config
    assert config.listeners == [":8081"]
    assert [route.upstream for route in config.routes] == [None, "app"]
    assert list(config.ai.providers) == ["openai"]
    assert "http://b:2" in str(config.upstreams["app"])


@pytest.mark.parametrize("listen", ['"; evil: [', "a\nb", "${HOME}"])
def test_what_is_answered_can_not_break_out_of_its_value(listen: str) -> None:
    import yaml

    assert yaml.safe_load(starter(Wishes(listen, ["http://a"], "no")))["listeners"] == [listen]


def test_three_questions_and_an_empty_answer_takes_what_is_offered() -> None:
    asked: list[str] = []
    answers = iter(["", "http://a http://b", "anthropic"])

    def question(text: str) -> str:
        asked.append(text)
        return next(answers)

    assert ask(Wishes(), question) == Wishes(None, ["http://a", "http://b"], "anthropic")
    assert len(asked) == 3
    assert "[127.0.0.1:8080]" in asked[0]
    assert ask(Wishes(":80", ["http://a"], "no"), question) == Wishes(":80", ["http://a"], "no")


def test_init_writes_the_schema_beside_it_and_replaces_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tidegate.yaml"
    assert cli.main(["init", "--yes", "-o", str(file)]) == 0
    first = file.read_text().splitlines()[0]
    schema = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert schema
    assert json.loads((tmp_path / schema[1]).read_text())["$defs"]["Config"]
    file.write_text("mine")
    assert cli.main(["init", "--yes", "-o", str(file)]) == 1
    assert "--force replaces it" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert cli.main(["init", "--yes", "--force", "-o", str(file)]) == 0
    assert cli.main(["init", "--yes", "-o", str(tmp_path / "no" / "where.yaml")]) == 1
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("shell", SHELLS)
def test_completions_are_of_all_verbs_and_options_and_the_shell_takes_them(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "completion", shell)
    for command in TOP.all():
        assert command.name.rpartition(" ")[2] in text
        for option in command.options:
            for flag in option.flags:
                assert (flag if shell != "fish" else flag.lstrip("-")) in text, f"{command.name} {flag}"
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    file = tmp_path / "completion"
    file.write_text(text)
    done = subprocess.run([*COMPLETED[shell], str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tidegate st", {"status", "stop"}),
        ("tidegate keys ", {"create", "list", "revoke"}),
        ("tidegate completion ", {"bash", "zsh", "fish"}),
        ("tidegate run --no", {"--no-watch"}),
        ("tidegate usage --format ", {"csv", "json", "table"}),
        ("tidegate check -c ti", {"tidegate.yaml"}),
    ],
)
def test_bash_offers_what_fits(
    line: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "completion"
    script.write_text(printed(capsys, "completion", "bash"))
    (tmp_path / "tidegate.yaml").touch()
    words = line.split(" ")
    typed = " ".join(word or "''" for word in words)
    program = (
        f"compopt() {{ :; }}; . {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _tidegate; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert offered <= set(done.stdout.split()), done


def test_the_manual_page_has_every_verb_and_option_and_is_good_roff(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "manpage")
    plain = text.replace("\\-", "-")
    for command in TOP.all():
        assert command.name in plain
        assert all(flag in plain for option in command.options for flag in option.flags)
    if shutil.which("groff") is None:
        pytest.skip("groff is not here")
    page = tmp_path / "tidegate.1"
    page.write_text(text)
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", str(page)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("piece", PIECES)
def test_each_piece_of_the_service_is_printed_with_this_programs_path(
    piece: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "service", piece)
    assert text.startswith("# ")
    if piece == "unit":
        (program,) = set(re.findall(r"^Exec\w+=(\S+)", text, re.MULTILINE))
        assert program.endswith("/tidegate")


def test_the_unit_is_hardened() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not here")
    unit = Path(cli.__file__).parents[1] / "systemd" / "tidegate.service"
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout.splitlines()[-1]
    exposure = re.search(r"exposure level for tidegate.service: ([0-9.]+)", told.stdout)
    assert exposure
    assert float(exposure[1]) < 2.0
