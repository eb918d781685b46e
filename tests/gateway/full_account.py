"""An account with a row in every table and a blob of every kind; and the rows that name it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text
from sqlmodel import SQLModel

from db.tables import Mention, Payment, RegressorVersion, WebhookEvent
from studio.ports import Studio
from tests.jobs.working import dispatching, until_state
from tests.support.fakes import PASSWORD, picture, sign_in

SELFIE = picture("blue", (64, 96), "PNG")
GARMENT = picture("red", (32, 24), "PNG")
Answer = dict[str, Any]


@dataclass
class FullAccount:
    """An account that is signed in, and the ids of what it owns."""

    client: httpx.AsyncClient
    studio: Studio
    headers: dict[str, str]
    id: UUID
    email: str
    names: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Answer:
        answer = await self.client.request(method, path, json=body, headers=self.headers)
        assert answer.status_code == status, (path, answer.text)
        return answer.json() if answer.content else {}

    async def upload(self, data: bytes, purpose: str, kind: str = "image/png") -> Answer:
        """A ready file; its bytes go to the store directly, not through the signed URL."""
        announced = {
            "filename": "a", "contentType": kind, "purpose": purpose, "sizeBytes": len(data),
        }  # fmt: skip
        receipt = await self.ask("POST", "/api/files/presign", announced, 201)
        key = self.studio.blobs.key_of(receipt["fileUrl"])
        assert key is not None
        await self.studio.blobs.put(key, data, kind)
        return await self.ask("POST", f"/api/files/{receipt['fileId']}/complete")

    async def try_on(self, person: Answer, garment_url: str, **changes: Any) -> Answer:
        body = {"personUrl": person["readUrl"], "garmentUrl": garment_url, "mode": "sync"}
        return await self.ask("POST", "/api/cv/tryon", body | changes)

    async def finish(self, job: Answer) -> Answer:
        async with dispatching(self.studio):
            await until_state(self.studio, UUID(job["jobId"]))
        return await self.ask("GET", f"/api/jobs/{job['jobId']}")


async def open_full_account(
    client: httpx.AsyncClient, studio: Studio, role: str = "merchant"
) -> FullAccount:
    headers = await sign_in(client, studio, role)
    me = (await client.get("/api/auth/me", headers=headers)).json()
    return FullAccount(client, studio, headers, UUID(me["id"]), me["email"])


async def fill(owner: FullAccount) -> None:
    """A row in every table that can hold one about an account, and a blob below every prefix."""
    selfie = await owner.upload(SELFIE, "selfie")
    garment = await owner.upload(GARMENT, "garment")
    await owner.ask("POST", "/api/cv/segmentation", {"fileId": selfie["id"]})
    await owner.try_on(selfie, garment["readUrl"])
    order = {"personUrl": selfie["readUrl"], "garmentUrl": garment["readUrl"], "mode": "queued"}
    await owner.finish(await owner.ask("POST", "/api/cv/tryon", order, 202))
    batch = {"type": "segment-batch", "payload": {"fileIds": [selfie["id"]]}}
    await owner.finish(await owner.ask("POST", "/api/jobs", batch, 202))
    score = {"fileId": selfie["id"], "heatmap": True, "category": "dress"}
    await owner.ask("POST", "/api/analytics/predict", score)
    back = await owner.upload(GARMENT, "product")
    product = {
        "title": f"Dress of {owner.email}", "category": "dress", "price": "1.00",
        "currency": "EUR", "images": [{"fileId": garment["id"]}, {"fileId": back["id"]}],
    }  # fmt: skip
    product_id = f"p-{uuid4().hex}"
    await owner.ask("PUT", f"/api/catalog/products/{product_id}", product, 201)
    await owner.ask("POST", "/api/search/image", {"fileId": selfie["id"]})
    await add_books(owner)
    owner.names = {"selfie": selfie["id"], "garment": garment["id"], "product": product_id}


async def add_books(owner: FullAccount) -> None:
    """Inserts a payment with its event, and a trained regressor version."""
    order_id, version = f"ORDER{uuid4().hex}", f"regressor-{uuid4().hex[:12]}"
    payer = {"email_address": owner.email, "name": {"given_name": owner.email}}
    resource = {"id": order_id, "payer": payer, "status": "COMPLETED"}
    await owner.studio.blobs.put(f"regressors/{version}/trees.bin", b"x", "application/json")
    async with owner.studio.database.transaction() as session:
        session.add(
            Payment(
                user_id=owner.id, order_id=order_id, status="COMPLETED", amount=Decimal(5),
                currency="EUR", payload={"request": {"intent": "CAPTURE"}, "payer": payer},
                idempotency_key="key", fingerprint="f", request_id="r",
            )
        )  # fmt: skip
        event = {"event_type": "CHECKOUT.ORDER.COMPLETED", "resource": resource}
        session.add(
            WebhookEvent(event_id=uuid4().hex, type=str(event["event_type"]), payload=event)
        )
        session.add(
            Mention(user_id=owner.id, names=[owner.email], due_at=datetime(9999, 1, 1, tzinfo=UTC))
        )
        session.add(
            RegressorVersion(version=version, owner_id=owner.id, embedder_version="fake-embedder")
        )


async def tables_naming(studio: Studio, names: Iterable[str]) -> dict[str, list[str]]:
    """Table -> its rows, as text, that contain one of the names."""
    rows_by_table: dict[str, list[str]] = {}
    async with studio.database.read() as session:
        for table in SQLModel.metadata.tables:
            rows = await session.exec(text(f"SELECT t::text FROM {table} AS t"))  # type: ignore[call-overload]
            named = [row[0] for row in rows if any(name in row[0] for name in names)]
            if named:
                rows_by_table[table] = named
    return rows_by_table


async def blobs_of(studio: Studio) -> set[str]:
    """Every key in the blob store."""
    return {entry.key async for entry in studio.blobs.scan("") if not entry.is_tombstone}


__all__ = ["PASSWORD", "FullAccount", "blobs_of", "fill", "open_full_account", "tables_naming"]
