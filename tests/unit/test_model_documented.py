"""The page on how a configuration is written names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from tidegate.lower.template import VARIABLES

PAGE = Path(__file__).parents[2] / "docs" / "configuration-files.md"


def test_the_page_names_all_variables() -> None:
    text = PAGE.read_text(encoding="utf-8")
    sentence = text[text.index("The variables are") :].split("`rewrite.with`")[0]
    assert set(re.findall(r"`([a-z_]+)`", sentence)) == VARIABLES
