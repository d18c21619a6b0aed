"""The pages on the AI gateway: every example compiles, every known provider is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.told import told

from tidegate.ai.providers import known
from tidegate.load import load
from tidegate.lower import lower

ROOT = Path(__file__).parents[2]
TEXT = {
    Path(name).name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/ai.md", "docs/ai-configuration.md")
}
EXAMPLES = [
    pytest.param(example, id=f"{name}-{index}")
    for name, text in TEXT.items()
    for index, example in enumerate(re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    if name != "README.md" or "ai:" in example
]
ROUTES = "routes: [{match: {path: /ai/}, ai: {}}]\n"
KEYS = {name: f"value-of-{name}" for text in TEXT.values() for name in re.findall(r"\$\{([A-Z_]+)\}", text)}


def whole(example: str) -> str:
    """The example with what it leaves out: a listener and a route."""
    listeners = "" if "listeners:" in example else 'listeners: ["127.0.0.1:8080"]\n'
    return listeners + ("" if "routes:" in example else ROUTES) + example


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 15


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_compiles_without_a_warning(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {**KEYS, "OPENAI_API_KEY": "k", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}
    assert told(whole(example), environ) == ""
    loaded = load("t.yaml", environ=environ)
    made = lower(loaded.config, loaded.where, catalogue=lambda: None)
    assert made.warnings == []
    assert made.plan.ai is not None


def test_the_page_names_every_known_provider() -> None:
    page = TEXT["ai-configuration.md"]
    sentence = page[page.index("Known by name are") :].split("\n\n")[0]
    assert set(re.findall(r"[a-z0-9_]+", sentence)) >= set(known())
