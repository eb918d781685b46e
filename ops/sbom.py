"""Prints the software bill of materials: every package of the image's locks as CycloneDX 1.6 JSON.

Versions and hashes are those of the locks. Licences are those that the installed packages declare;
a package that only another Python or platform needs has none. The same locks give the same text.
"""

import hashlib
import importlib.metadata
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator
from importlib.metadata import PackageMetadata
from typing import Any

from ops.lock import ROOT, blocks_of, requirement_of

LOCKS = ("requirements.lock", "requirements-azure.lock")
LONGEST_NAME = 64
"""A longer `License` is the text of a licence, not its name."""


def licences(metadata: PackageMetadata) -> list[dict[str, Any]]:
    """What a package declares: an SPDX expression, or else names from its classifiers."""
    if expressions := metadata.get_all("License-Expression"):
        return [{"expression": str(expressions[0])}]
    names = [
        classifier.rpartition(" :: ")[2]
        for classifier in metadata.get_all("Classifier") or []
        if classifier.startswith("License :: ") and not classifier.endswith("OSI Approved")
    ]
    if not names:
        texts = [str(text) for text in metadata.get_all("License") or []]
        names = [text for text in texts if "\n" not in text and len(text) <= LONGEST_NAME]
    return [{"license": {"name": one}} for one in dict.fromkeys(names)]


def component(block: str) -> dict[str, Any]:
    """A package of a lock; `hashes` are those of its files, of which a platform installs one."""
    requirement = requirement_of(block)
    version = str(requirement.specifier).removeprefix("==")
    link = f"pkg:pypi/{requirement.name}@{version}"
    fields: dict[str, Any] = {
        "type": "library",
        "bom-ref": link,
        "name": requirement.name,
        "version": version,
        "purl": link,
        "hashes": [
            {"alg": "SHA-256", "content": content}
            for content in sorted(set(re.findall(r"sha256:([0-9a-f]{64})", block)))
        ],
    }
    try:
        declared = licences(importlib.metadata.metadata(requirement.name))
    except importlib.metadata.PackageNotFoundError:
        declared = []
    return fields | ({"licenses": declared} if declared else {})


def components() -> Iterator[dict[str, Any]]:
    """Every package of the locks."""
    for name in LOCKS:
        for _, block in sorted(blocks_of((ROOT / name).read_text()).items()):
            yield component(block)


def bill() -> dict[str, Any]:
    """The whole document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = "".join((ROOT / name).read_text() for name in LOCKS)
    digest = hashlib.sha256(text.encode()).digest()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": project["name"],
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"expression": project["license"]}],
            }
        },
        "components": list(components()),
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
    sys.stdout.write("\n")
