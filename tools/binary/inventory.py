"""What is in the single file: a bill of materials in CycloneDX 1.6 and all licences, from what it was built of."""

from __future__ import annotations

import email.parser
import hashlib
import json
import re
import subprocess
import tomllib
import uuid
from pathlib import Path
from typing import Any, NamedTuple

LICENCE_FILES = re.compile(r"(?i)^(licen[cs]e|copying|notice|copyright|unlicense)([-_.].*)?$")


class Part(NamedTuple):
    """Something of somebody else's that is in the file."""

    kind: str
    """As package URLs name it: cargo, pypi, deb."""
    name: str
    version: str
    licence: str
    """An SPDX expression, or what the package says in words."""
    sha256: str
    texts: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Its package URL."""
        name = f"debian/{self.name}" if self.kind == "deb" else self.name
        return f"pkg:{self.kind}/{name}@{self.version.replace('+', '%2B').replace(':', '%3A')}"


def write(done: Path, root: Path, site: Path, debian: tuple[str, ...]) -> None:
    """Writes both beside the file: NAME.cdx.json, and LICENSES.txt with each text once."""
    found = [*crates(root / "rust/main"), *wheels(site), *packages(debian)]
    parts = sorted(found, key=lambda part: (part.kind, part.name, part.version))
    version = tomllib.loads((root / "rust/main/Cargo.toml").read_text())["package"]["version"]
    bill = json.dumps(bill_of_materials(done, version, parts), indent=1, ensure_ascii=False)
    done.with_name(f"{done.name}.cdx.json").write_text(f"{bill}\n")
    done.with_name("LICENSES.txt").write_text(licences(parts))


def bill_of_materials(done: Path, version: str, parts: list[Part]) -> dict[str, Any]:
    """The document; its serial number follows from the file, so that the same file has the same bill."""
    digest = hashlib.sha256(done.read_bytes()).hexdigest()
    own = f"pkg:generic/tidegate@{version}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "tidegate",
                "version": version,
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": part.purl,
                "name": part.name,
                "version": part.version,
                "purl": part.purl,
                **({"licenses": [_licence(part.licence)]} if part.licence else {}),
                **({"hashes": [{"alg": "SHA-256", "content": part.sha256}]} if part.sha256 else {}),
            }
            for part in parts
        ],
        "dependencies": [{"ref": own, "dependsOn": [part.purl for part in parts]}],
    }


def licences(parts: list[Part]) -> str:
    """A table of what is in the file, then every licence text once, with whose it is."""
    width = max(len(part.name) for part in parts) + 2
    rows = [f"{part.name:{width}}{part.version:22}{part.licence or 'see below'}" for part in parts]
    whose: dict[str, list[str]] = {}
    for part in parts:
        for text in part.texts:
            whose.setdefault(text.strip(), []).append(part.name)
    told = [f"{'-' * 80}\n{', '.join(names)}\n{'-' * 80}\n\n{text}\n" for text, names in whose.items()]
    return "\n".join(["Tidegate is under the Apache License 2.0. Its single file contains:", "", *rows, "", "", *told])


def crates(manifest: Path) -> list[Part]:
    """What Cargo linked in: all that the program depends on to run, on this platform."""
    told = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    triple = re.search(r"^host: (.*)$", told, re.MULTILINE)
    assert triple
    command = ["cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={triple[1]}"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=manifest).stdout)
    locked = tomllib.loads((manifest / "Cargo.lock").read_text())["package"]
    sums = {(package["name"], package["version"]): package.get("checksum", "") for package in locked}
    by_id = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    reached, todo = set(), [metadata["resolve"]["root"]]
    while todo:
        if (one := todo.pop()) not in reached:
            reached.add(one)
            todo += [dep["pkg"] for dep in nodes[one]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    return [
        Part(
            "cargo",
            package["name"],
            package["version"],
            (package["license"] or "").replace("/", " OR "),
            sums[package["name"], package["version"]],
            _texts(Path(package["manifest_path"]).parent),
        )
        for one in reached
        if (package := by_id[one])["source"]
    ]


def wheels(site: Path) -> list[Part]:
    """What PyPI gave."""
    found = []
    for folder in site.glob("*.dist-info"):
        about = email.parser.Parser().parsestr((folder / "METADATA").read_text())
        licence = about.get("License-Expression") or _first_line(about.get("License"))
        found.append(Part("pypi", about["Name"], about["Version"], licence, "", _texts(folder, deep=True)))
    return found


def packages(names: tuple[str, ...]) -> list[Part]:
    """What Debian's packages gave; their licences are their copyright files."""
    command = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *names]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = []
    for line in told.splitlines():
        name, version = line.split()
        file = Path("/usr/share/doc") / name / "copyright"
        texts = (file.read_text(errors="replace"),) if file.exists() else ()
        found.append(Part("deb", name, version, "", "", texts))
    return found


def _texts(folder: Path, *, deep: bool = False) -> tuple[str, ...]:
    files = sorted(folder.rglob("*") if deep else folder.glob("*"))
    return tuple(
        file.read_text(errors="replace") for file in files if file.is_file() and LICENCE_FILES.match(file.name)
    )


def _licence(text: str) -> dict[str, Any]:
    """An expression where it is one, else a name."""
    expression = re.fullmatch(r"[A-Za-z0-9.+() -]+", text) and re.search(r"[A-Za-z]-\d|MIT|ISC|Zlib|Unlicense", text)
    return {"expression": text} if expression else {"license": {"name": text}}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
