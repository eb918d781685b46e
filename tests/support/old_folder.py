"""A small data folder that an earlier commit wrote, and the script that makes it.

    git worktree add CHECKOUT COMMIT && make -C CHECKOUT install
    python -m tests.support.old_folder CHECKOUT tests/local/data/folder-COMMIT.tar.xz

The script starts the studio of the checkout with a few demo products, uses it over HTTP, stops it,
and packs its data folder with a manifest of all rows and blobs. PostgreSQL's files are packed as
they are, so that the test opens what an operator's folder has.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from drawing.draw import Garment, draw_garment
from drawing.people.people import draw_person
from local.client import encode, upload
from local.running import RunningStudio
from local.servers.os_account import server_account, server_programs
from local.servers.postgres import PACKAGE, PARTS, Postgres

EMAIL, PASSWORD = "customer@example.com", "an old password"
DEMO_PRODUCTS = 6
MANIFEST = "manifest.json"
LEFT_OUT = {"logs", "valkey", "lock", "running.json", "postgres/cluster/postmaster.opts"}
"""Parts of the folder that a start makes again."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Manifest:
    """The contents of the folder when it was packed.

    Attributes:
        revision: the schema's migration.
        tables: every row of every table, as JSON.
        blobs: SHA-256 of every file in the blob store, by key.
    """

    revision: str
    tables: dict[str, Rows]
    blobs: dict[str, str]


async def read_tables(database_url: str) -> dict[str, Rows]:
    """Reads every row of every table, in a fixed order."""
    connection = await asyncpg.connect(database_url)
    try:
        names = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
        return {name: await _read_rows(connection, name) for (name,) in names}
    finally:
        await connection.close()


async def _read_rows(connection: Any, table: str) -> Rows:
    query = f"SELECT to_jsonb(row)::text FROM {table} AS row ORDER BY 1"
    return [json.loads(document) for (document,) in await connection.fetch(query)]


def hash_blobs(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a local blob store, by its key."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def unpack(archive: Path, data_dir: Path) -> Manifest:
    """Restores the folder; its PostgreSQL belongs to the user that runs the server here."""
    with tarfile.open(archive) as file:
        file.extractall(data_dir, filter="tar")
    manifest = data_dir / MANIFEST
    facts = json.loads(manifest.read_text())
    manifest.unlink()
    cluster = data_dir / "postgres" / "cluster"
    account = server_account(cluster)
    if account is not None:
        for path in (cluster, *cluster.rglob("*")):
            os.chown(path, account.uid, account.gid)
    return Manifest(**facts)


def pack(data_dir: Path, manifest: Manifest, archive: Path) -> None:
    """Packs the folder; nothing in the archive names a user of this machine."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return None if entry.name.removeprefix("./") in LEFT_OUT else entry

    document = json.dumps(vars(manifest)).encode()
    with tarfile.open(archive, "w:xz", preset=9) as file:
        file.add(data_dir, ".", filter=anonymous)
        entry = tarfile.TarInfo(MANIFEST)
        entry.size = len(document)
        file.addfile(entry, BytesIO(document))


def drop_old_wal(data_dir: Path) -> None:
    """Replaces the WAL of a stopped server, which it does not need, by one empty segment."""
    cluster = data_dir / "postgres" / "cluster"
    account = server_account(cluster)
    program = server_programs(PACKAGE, PARTS, account) / PARTS[0] / "bin" / "pg_resetwal"
    subprocess.run(
        [str(program), "-D", str(cluster)], check=True, cwd="/",
        user=account.uid if account else None, group=account.gid if account else None,
    )  # fmt: skip


def start_checkout(checkout: Path, data_dir: Path) -> RunningStudio:
    """Starts the studio of the checkout and waits until it is ready."""
    python = checkout / ".venv" / "bin" / "python"
    return RunningStudio(
        data_dir, command=["env", f"--chdir={checkout}", str(python), "-m", "cli", "up"],
        STUDIO_DEMO_PRODUCTS=str(DEMO_PRODUCTS), STUDIO_LIMIT_AUTH="1000",
        PYTHONPATH=str(checkout),
    ).wait_ready(timeout_s=240)  # fmt: skip


def use(http: httpx.Client) -> None:
    """Does once what customers, merchants and admins do."""
    account = {"email": EMAIL, "password": PASSWORD, "name": "A customer"}
    expect(http.post("/api/auth/register", json=account), 201)
    customer = sign_in(http, EMAIL, PASSWORD)
    admin = sign_in(http, "admin@demo.studio", "studio-demo")
    worn = [Garment("t-shirt", "red", "plain", 5), Garment("trousers", "navy", "plain", 2)]
    person = draw_person(11, worn, (256, 192), full_figure=True).image
    garment = draw_garment(Garment("shirt", "green", "striped", 4), 160)
    uploads = [
        upload(http, customer, encode(image, "PNG"), "image/png") for image in (person, garment)
    ]
    person_url, garment_url = (expect(answer, 200)["readUrl"] for _, answer in uploads)
    target = {"fileId": uploads[1][0], "target": "garment"}
    expect(http.post("/api/cv/segmentation", json=target, headers=customer), 200)
    order = {"personUrl": person_url, "garmentUrl": garment_url, "category": "upper", "seed": 3}
    expect(http.post("/api/cv/tryon", json=order | {"mode": "sync"}, headers=customer), 200)
    queued = http.post("/api/cv/tryon", json=order | {"mode": "queued"}, headers=customer)
    wait_for_job(http, customer, expect(queued, 202)["jobId"])
    search = {"query": "red dress", "topK": 5}
    products = expect(http.post("/api/search/text", json=search, headers=customer), 200)["results"]
    buy(http, customer, admin, products[0]["id"])
    rebuild = http.post("/api/jobs", json={"type": "rebuild-index", "payload": {}}, headers=admin)
    wait_for_job(http, admin, expect(rebuild, 202)["jobId"])


def buy(
    http: httpx.Client, customer: dict[str, str], admin: dict[str, str], product_id: str
) -> None:
    """Orders a product, pays at the simulator, and has a part of the money refunded."""
    body = {
        "items": [{"productId": product_id, "quantity": 2}],
        "returnUrl": f"{http.base_url}", "cancelUrl": f"{http.base_url}",
    }  # fmt: skip
    order = expect(http.post("/api/paypal/orders", json=body, headers=customer), 201)
    expect(httpx.post(order["approvalUrl"]), 303)
    path = f"/api/paypal/orders/{order['id']}"
    wait_for(http, path, customer, "status", ("APPROVED",))
    receipt = expect(http.post(f"{path}/capture", headers=customer), 200)
    refund = {"amount": {"value": "1.00", "currency": receipt["amount"]["currency"]}}
    capture = f"/api/paypal/captures/{receipt['captureId']}/refund"
    keyed = admin | {"Idempotency-Key": "an old refund"}
    expect(http.post(capture, json=refund, headers=keyed), 201)


def sign_in(http: httpx.Client, email: str, password: str) -> dict[str, str]:
    """Headers that act as the account."""
    body = {"email": email, "password": password}
    token = expect(http.post("/api/auth/login", json=body), 200)["accessToken"]
    return {"Authorization": f"Bearer {token}"}


def wait_for_job(http: httpx.Client, headers: dict[str, str], job_id: str) -> None:
    """Waits until the job has succeeded."""
    wait_for(http, f"/api/jobs/{job_id}", headers, "state", ("succeeded",))


def wait_for(
    http: httpx.Client, path: str, headers: dict[str, str], field: str, values: tuple[str, ...]
) -> None:
    """Reads a document until its field has one of the values."""
    deadline_s = time.monotonic() + 120
    while expect(http.get(path, headers=headers), 200)[field] not in values:
        if time.monotonic() > deadline_s:
            raise TimeoutError(http.get(path, headers=headers).text)
        time.sleep(0.2)


def expect(answer: httpx.Response, status: int) -> Any:
    """The document of a response, which must have this status."""
    if answer.status_code != status:
        raise RuntimeError(f"{answer.request.url}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


async def read_manifest(database_url: str, blobs: Path) -> Manifest:
    """The contents of a stopped studio's folder, whose PostgreSQL runs."""
    tables = await read_tables(database_url)
    (version,) = tables.pop("alembic_version")
    return Manifest(version["version_num"], tables, hash_blobs(blobs))


def make(checkout: Path, archive: Path) -> Manifest:
    """Makes the archive with the studio of the checkout."""
    data_dir = Path(tempfile.mkdtemp(prefix="studio-old-"))
    data_dir.chmod(0o711)
    try:
        studio = start_checkout(checkout, data_dir)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{studio.port}", timeout=120) as http:
                use(http)
        finally:
            studio.end()
        server = Postgres(data_dir)
        url = server.start()
        try:
            manifest = asyncio.run(read_manifest(url, data_dir / "blobs"))
        finally:
            server.stop()
        drop_old_wal(data_dir)
        pack(data_dir, manifest, archive)
        return manifest
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def main() -> None:
    """Reads the checkout and the archive's path from the command line."""
    checkout, archive = map(Path, sys.argv[1:])
    manifest = make(checkout.resolve(), archive)
    counts = ", ".join(f"{name} {len(rows)}" for name, rows in manifest.tables.items())
    size = f"{archive.stat().st_size:,} bytes, {len(manifest.blobs)} blobs"
    print(f"{archive}: {size}, schema {manifest.revision}, {counts}")  # noqa: T201


if __name__ == "__main__":
    main()
