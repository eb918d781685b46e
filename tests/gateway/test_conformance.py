"""Calls every route of the OpenAPI document as every role: no 5xx, only declared responses."""

import math
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import hypothesis
import pytest
import requests
import schemathesis
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from gateway.deadline import HEADER, MAX_MS
from studio.accounts import passwords
from studio.ports import Studio
from tests.gateway.resources import insert_job, open_account, place_order, put_product, upload
from tests.support.fakes import FakeIndex, make_settings
from tests.support.served import ServedStudio, serving_gateway
from tests.support.simulator import Simulator

load_all_checks()
ROLES = (None, "customer", "merchant", "admin")
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
UNUSED = {
    "positive_data_acceptance",  # a well-formed id may still be nobody's
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",  # of whole stories, which aren't told here
    "ensure_resource_availability",
    "object_level_authorization",  # tests/gateway/test_ownership.py
}
ENABLED_CHECKS: Any = [check for check in CHECKS.get_all() if check.__name__ not in UNUSED]


@dataclass
class Caller:
    """A caller of one role, with ids of resources that exist."""

    role: str | None
    headers: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)


async def make_caller(studio: Studio, url: str, role: str | None) -> Caller:
    """Signs in over HTTP and creates a file, a product and a job; without a role, nothing."""
    if role is None:
        return Caller(None)
    async with httpx.AsyncClient(base_url=url) as client:
        account = await open_account(client, studio, role)
        ids = {
            "file_id": (await upload(client, account))["id"],
            "job_id": await insert_job(studio, account),
            "user_id": str(account.id),
            "order_id": await place_order(client, studio, account),
            "service": "db",
            "version": "v1",
        }
        if role != "customer":
            ids["product_id"] = await put_product(client, account)
    return Caller(role, account.headers, ids)


@pytest.fixture
def served(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulator: Simulator,
) -> Iterator[ServedStudio]:
    monkeypatch.setattr(passwords, "COST", 4)
    settings = make_settings(database_url, redis_url, tmp_path / "blobs", **simulator.settings())
    with serving_gateway(settings) as running:
        running.do(lambda studio: sell_something(studio, running.url))
        yield running


async def sell_something(studio: Studio, url: str) -> None:
    """Creates a product that searches return, so that the studio is healthy."""
    async with httpx.AsyncClient(base_url=url) as client:
        product_id = await put_product(client, await open_account(client, studio, "merchant"))
    embedding = await studio.embedder.embed_text("red dress")
    cast(FakeIndex, studio.index).put(product_id, embedding.vector)


@dataclass
class Walk:
    """Sends generated requests to every operation and records the failures."""

    url: str
    seed: int
    request_count: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    complaints: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._session = requests.Session()
        self._schema = schemathesis.openapi.from_url(f"{self.url}/api/openapi.json")

    def operations(self) -> list[Any]:
        """Every operation of the document; those that delete or end the session come last."""
        every = [one.ok() for one in self._schema.get_all_operations() if isinstance(one, Ok)]
        ending = ("/logout", "/sessions")
        return sorted(every, key=lambda one: (one.path.endswith(ending), one.method == "delete"))

    def visit(self, operation: Any, caller: Caller, mode: GenerationMode, cases: int) -> None:
        """Sends this many requests to one operation, well formed or not."""

        @hypothesis.seed(self.seed)
        @hypothesis.settings(
            max_examples=cases, database=None, deadline=None, phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def send(case: schemathesis.Case[Any]) -> None:
            self._send(case, caller)

        try:
            send()
        except hypothesis.errors.Unsatisfiable:
            assert mode == GenerationMode.NEGATIVE, operation.label  # nothing can be wrong here

    def _send(self, case: schemathesis.Case[Any], caller: Caller) -> None:
        self.request_count += 1
        own_ids = {name: caller.ids[name] for name in case.path_parameters if name in caller.ids}
        if self.request_count % 2:
            case.path_parameters.update(own_ids)
        if case.headers.get(HEADER, "").isdigit():
            case.headers[HEADER] = str(MAX_MS)  # a shorter deadline may pass, which is a 504
        response = case.call(headers=caller.headers, session=self._session, timeout=30)
        self.statuses[response.status_code] += 1
        try:
            case.validate_response(response, checks=ENABLED_CHECKS)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                key = f"{case.operation.label} {response.status_code}: {failure.title}"
                self.complaints.setdefault(
                    key, f"as {caller.role}: {failure}\n{case.as_curl_command()}"
                )


def walk_all(served: ServedStudio, cases: int, seed: int) -> Walk:
    """Sends at least this many requests, the same number to each operation as each role."""
    walk = Walk(served.url, seed)
    operations = walk.operations()
    each = math.ceil(cases / (len(operations) * len(ROLES) * len(MODES)))
    # Before the walk, whose wrong passwords make this address wait.
    callers = [served.do(partial(make_caller, url=served.url, role=role)) for role in ROLES]
    for caller in callers:
        for operation in operations:
            for mode in MODES:
                walk.visit(operation, caller, mode, each)
    return walk


# Slow: every operation is called as four roles, with good and bad input.
def test_every_answer_conforms(served: ServedStudio) -> None:
    walk = walk_all(served, cases=300, seed=secrets.randbits(32))
    assert walk.request_count >= 300
    assert not walk.complaints, f"seed {walk.seed}\n" + "\n\n".join(walk.complaints.values())


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_five_thousand_answers_conform(served: ServedStudio) -> None:
    walk = walk_all(served, cases=6000, seed=secrets.randbits(32))
    print(f"\nconformance: seed {walk.seed}, {walk.request_count} requests, {dict(walk.statuses)}")  # noqa: T201
    assert walk.request_count >= 5000
    assert not walk.complaints, "\n\n".join(walk.complaints.values())
