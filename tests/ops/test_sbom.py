"""The bill of materials names every package of the locks, in the fields that CycloneDX requires."""

import json
import re
import subprocess
import sys
from email.message import Message
from importlib.metadata import PackageMetadata
from typing import Any, Literal, cast

import pytest
from packaging.requirements import Requirement
from pydantic import BaseModel, ConfigDict, Field

from ops.lock import blocks_of, requirement_of
from ops.sbom import LOCKS, bill, licences
from settings import PROJECT_ROOT


class Part(BaseModel):
    """Fields of the specification, version 1.6; no others."""

    model_config = ConfigDict(extra="forbid")


class Hash(Part):
    alg: Literal["SHA-256"]
    content: str = Field(pattern=r"^[0-9a-f]{64}$")


class License(Part):
    name: str = Field(min_length=1)


class LicenseChoice(Part):
    license: License | None = None
    expression: str | None = None


class Component(Part):
    type: Literal["library", "application"]
    bom_ref: str = Field(alias="bom-ref")
    name: str = Field(min_length=1)
    version: str
    purl: str | None = Field(None, pattern=r"^pkg:pypi/[a-z0-9-]+@[0-9][0-9A-Za-z.]*$")
    hashes: list[Hash] = []
    licenses: list[LicenseChoice] = []


class Metadata(Part):
    component: Component


class Bill(Part):
    schema_url: Literal["http://cyclonedx.org/schema/bom-1.6.schema.json"] = Field(alias="$schema")
    bom_format: Literal["CycloneDX"] = Field(alias="bomFormat")
    spec_version: Literal["1.6"] = Field(alias="specVersion")
    serial_number: str = Field(
        alias="serialNumber", pattern=r"^urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"
    )
    version: Literal[1]
    metadata: Metadata
    components: list[Component]


def pins() -> dict[str, Requirement]:
    return {
        name: requirement_of(block)
        for lock in LOCKS
        for name, block in blocks_of((PROJECT_ROOT / lock).read_text()).items()
    }


def test_the_command_prints_a_valid_bill_of_every_package() -> None:
    lines = re.findall(
        r"^sbom:.*\n\t@\$\(BIN\)/(.*?) >", (PROJECT_ROOT / "Makefile").read_text(), re.M
    )
    (command,) = lines
    done = subprocess.run(
        [sys.executable, *command.split()[1:]],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    document = json.loads(done.stdout)
    checked = Bill.model_validate(document)
    versions = {one.name: f"=={one.version}" for one in checked.components}
    assert versions == {name: str(pin.specifier) for name, pin in pins().items()}
    references = [one.bom_ref for one in checked.components]
    assert len(set(references)) == len(references) and all(one.hashes for one in checked.components)
    assert document == bill()  # nothing of it is the time or chance


def test_nearly_every_package_says_its_licence() -> None:
    silent = [one["name"] for one in bill()["components"] if "licenses" not in one]
    assert len(silent) < len(pins()) / 5, silent


MIT = "License :: OSI Approved :: MIT License"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License-Expression": "MIT OR BSD-3-Clause"}, [{"expression": "MIT OR BSD-3-Clause"}]),
        ({"License-Expression": "MIT", "Classifier": MIT}, [{"expression": "MIT"}]),
        ({"Classifier": MIT, "License": "MIT"}, [{"license": {"name": "MIT License"}}]),
        (
            {"Classifier": "License :: OSI Approved", "License": "BSD"},
            [{"license": {"name": "BSD"}}],
        ),
        ({"License": "Copyright 2020\nPermission is hereby granted"}, []),
        ({"License": "x" * 500}, []),
        ({}, []),
    ],
)
def test_what_a_package_declares(fields: dict[str, str], expected: list[Any]) -> None:
    message = Message()
    for name, value in fields.items():
        message[name] = value
    assert licences(cast("PackageMetadata", message)) == expected
