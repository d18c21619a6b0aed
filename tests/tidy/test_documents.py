"""What documents say that a program can check: links lead somewhere, names exist."""

from __future__ import annotations

import re
import tomllib

from tests.tidy.test_sources import ROOT, sources, text

_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"`((?:rust|python|tests|docs|bench|deploy|tools)/[A-Za-z0-9_./-]+)`")


def test_links_between_documents_lead_somewhere() -> None:
    bad = [
        f"{name}: {link}"
        for name in sources(".md")
        for link in _LINK.findall(text(name))
        if "://" not in link and not link.startswith("mailto:") and not ((ROOT / name).parent / link).exists()
    ]
    assert not bad


def test_paths_that_documents_name_exist() -> None:
    bad = [
        f"{name}: {path}"
        for name in sources(".md")
        for path in _PATH.findall(text(name))
        if not (ROOT / path).exists()
        and not {"NOUN", "..."} & set(re.split(r"[/.]", path))
        and not path.startswith(("bench/results",))
    ]
    assert not bad


def test_every_metric_that_a_document_names_is_rendered() -> None:
    rendered = "\n".join(text(name) for name in sources(".rs") if name.startswith("rust/engine/src"))
    known = set(re.findall(r'"(tidegate_[a-z0-9_]+)"', rendered))
    assert len(known) >= 20, "the metrics' names are literals of the engine"
    for name in sources(".md", ".yaml", ".json", ".yml"):
        if not name.startswith(("docs/", "deploy/", "README")):
            continue
        for metric in set(re.findall(r"\btidegate_[a-z0-9_]+\b", text(name))):
            base = re.sub(r"_(bucket|sum|count)$", "", metric)
            assert base in known or metric in known, f"{name} names {metric}, which the engine does not render"


def _renders(name: str) -> bool:
    return name.startswith("rust/engine/src/metrics") and not name.endswith("tests.rs")


def test_every_metric_that_is_rendered_is_documented() -> None:
    document = ROOT / "docs/metrics.md"
    rendered = "\n".join(text(name) for name in sources(".rs") if _renders(name))
    told = document.read_text()
    missing = [name for name in sorted(set(re.findall(r'"(tidegate_[a-z0-9_]+)"', rendered))) if name not in told]
    assert not missing, "add a row to docs/metrics.md"


def test_every_code_and_header_field_of_ai_calls_is_documented() -> None:
    page = text("docs/ai.md")
    journey = {name: text(name).split("#[cfg(test)]")[0] for name in sources(".rs") if "/engine/src/ai/" in name}
    elsewhere = ("rust/prompt/src/openapi.rs", "python/tidegate/model/defaults.py")
    written = "\n".join((*journey.values(), *(text(name) for name in elsewhere)))
    fields = set(re.findall(r'"(X-Tidegate-[A-Za-z-]+)"', written))
    assert len(fields) >= 5, "fields are literals"
    assert fields == set(re.findall(r"X-Tidegate-[A-Za-z]+(?:-[A-Za-z]+)*", page))
    codes = set(re.findall(r'code = Some\([^;]*?"([a-z_]+)"', written)) | {"method_not_allowed", "unknown_path"}
    codes |= set(re.findall(r'"([a-z_]+_not_found|[a-z_]+_exceeded|too_many_[a-z_]+)"', written))
    missing = [code for code in sorted(codes) if f"`{code}`" not in page]
    assert not missing, "add a row to the table of errors in docs/ai.md"


def test_every_surface_of_the_ai_gateway_is_documented() -> None:
    page = text("docs/ai.md")
    table = page[page.index("## Surfaces") : page.index("## Dialects")]
    known = set(re.findall(r'Self::\w+ => "([a-z_]+)"', text("rust/dialect/src/surface.rs").split("fn as_str", 1)[1]))
    told = {name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert told == known, "a row of the table of surfaces in docs/ai.md"


def test_the_changelog_begins_with_what_is_not_released_or_the_version() -> None:
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    first = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert "Unreleased" in first or version in first, first


def test_every_verb_of_the_command_line_is_told_of_in_the_readme_or_its_documents() -> None:
    from tidegate.cli import parser

    verbs = next(action for action in parser()._actions if action.choices and action.metavar == "VERB")
    told = "\n".join(text(name) for name in sources(".md"))
    missing = [verb for verb in verbs.choices or () if not re.search(rf"tidegate {verb}\b", told)]
    assert not missing
