"""The embedded database: several connections of several processes harm each other in nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import tidegate
from tidegate.ai.database import FILE, connect, transaction

_VISIT = """
import sys
from tidegate.ai.database import connect
connect(sys.argv[1]).close()
"""


def visit(folder: Path) -> None:
    """Another process opens the database and closes it again, as `tidegate usage` does."""
    paths = {"PYTHONPATH": str(Path(tidegate.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", _VISIT, str(folder)], check=True, env={**os.environ, **paths}, timeout=20)


def test_another_process_takes_nothing_from_under_connections_that_are_open(tmp_path: Path) -> None:
    with closing(connect(str(tmp_path))) as first:
        first.execute("INSERT INTO meta VALUES ('first', 1)")
        with closing(connect(str(tmp_path))):
            visit(tmp_path)
        assert (tmp_path / f"{FILE}-wal").exists(), "the one who left last removed it, and was not the last"
        with transaction(first):
            first.execute("INSERT INTO meta VALUES ('second', 2)")
        with closing(connect(str(tmp_path))) as other:
            told = dict(other.execute("SELECT name, value FROM meta WHERE name IN ('first', 'second')"))
    assert told == {"first": 1, "second": 2}


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with closing(connect(str(tmp_path))) as db:
        db.execute("INSERT INTO meta VALUES ('first', 1)")
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name
