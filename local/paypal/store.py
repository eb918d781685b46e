"""The simulator's store, one SQLite file: documents, request ids, and the outbox of events."""

import json
import secrets
import sqlite3
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS document (id TEXT PRIMARY KEY, kind TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS request (id TEXT PRIMARY KEY, digest TEXT, subject TEXT, problem TEXT);
CREATE TABLE IF NOT EXISTS event (
    id TEXT PRIMARY KEY, body BLOB, due_s REAL,
    attempts INTEGER DEFAULT 0, delivered INTEGER DEFAULT 0
);
"""
ALPHABET = string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class FormerRequest:
    """A request id that was used before: the digest of its body, and the outcome.

    Attributes:
        subject: id of the document that the request made.
        problem: status and issue if it was refused.
    """

    digest: str
    subject: str
    problem: Json | None


class SimulatorStore:
    """Each call is one transaction, so that a request id and its effect are written together."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Closes the file; every transaction is already written."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end of the block, rolls back on any error."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def get(self, kind: str, document_id: str) -> Json | None:
        """Reads a document."""
        query = "SELECT body FROM document WHERE id = ? AND kind = ?"
        row = self._connection.execute(query, (document_id, kind)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, kind: str, document: Json) -> None:
        """Writes or replaces a document by its id."""
        query = (
            "INSERT INTO document (id, kind, body) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, body = excluded.body"
        )
        self._connection.execute(query, (document["id"], kind, json.dumps(document)))

    def every(self, kind: str) -> list[Json]:
        """Lists all documents of a kind, oldest first."""
        query = "SELECT body FROM document WHERE kind = ? ORDER BY rowid"
        return [json.loads(row[0]) for row in self._connection.execute(query, (kind,))]

    def find_request(self, request_id: str) -> FormerRequest | None:
        """Finds the outcome of a request id; None if it was not used before."""
        query = "SELECT digest, subject, problem FROM request WHERE id = ?"
        row = self._connection.execute(query, (request_id,)).fetchone()
        if row is None:
            return None
        return FormerRequest(row[0], row[1], json.loads(row[2]) if row[2] else None)

    def remember(self, request_id: str, digest: str, subject: str, problem: Json | None) -> None:
        """Stores the outcome of a request."""
        refusal = json.dumps(problem) if problem else None
        query = "INSERT OR REPLACE INTO request VALUES (?, ?, ?, ?)"
        self._connection.execute(query, (request_id, digest, subject, refusal))

    def add_event(self, kind: str, summary: str, resource_type: str, resource: Json) -> None:
        """Adds an event to the outbox."""
        event = {
            "id": f"WH-{new_id()}-{new_id()}", "event_version": "1.0", "create_time": now(),
            "resource_type": resource_type, "resource_version": "2.0", "event_type": kind,
            "summary": summary, "resource": resource,
        }  # fmt: skip
        query = "INSERT INTO event (id, body, due_s) VALUES (?, ?, ?)"
        self._connection.execute(query, (event["id"], json.dumps(event).encode(), time.time()))

    def due_events(self, limit: int) -> list[tuple[str, bytes, int]]:
        """Lists events that are due: id, body, and number of attempts."""
        query = (
            "SELECT id, body, attempts FROM event WHERE NOT delivered AND due_s <= ? "
            "ORDER BY due_s LIMIT ?"
        )
        return self._connection.execute(query, (time.time(), limit)).fetchall()

    def events(self) -> list[bytes]:
        """Lists the bodies of all events, oldest first."""
        query = "SELECT body FROM event ORDER BY rowid"
        return [row[0] for row in self._connection.execute(query)]

    def mark_event(self, event_id: str, *, again_s: float | None) -> None:
        """Marks an event as delivered (None), or schedules it again after `again_s`."""
        query = "UPDATE event SET attempts = attempts + 1, delivered = ?, due_s = ? WHERE id = ?"
        due_s = time.time() + (again_s or 0)
        self._connection.execute(query, (again_s is None, due_s, event_id))


def new_id() -> str:
    """A random id in PayPal's form."""
    return "".join(secrets.choice(ALPHABET) for _ in range(17))


def now() -> str:
    """The current time in PayPal's form."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
