"""The rules of every table and every kind of blob for deletion, export, retention and backup.

The deletion of accounts, their export, and the sweep of the blob store follow these rules. A test
compares them with the schema and fails for a table or prefix without a rule. Conditions are SQL
over the table's own columns, with the account's id as `:user` (uuid) and `:subject` (text).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OWN_EVENTS = """EXISTS (
    SELECT FROM payment WHERE user_id = :user AND (
        payload_of_event #>> '{resource,id}' IN (order_id, capture_id)
        OR payload_of_event #>> '{resource,supplementary_data,related_ids,order_id}' = order_id
        OR payload_of_event #>> '{resource,disputed_transactions,0,seller_transaction_id}'
            = capture_id
        OR payload_of_event #>> '{resource,custom_id}' = payment.id::text
        OR payload_of_event #>> '{resource,purchase_units,0,custom_id}' = payment.id::text))
""".replace("payload_of_event", "webhook_event.payload")
FACTS_OF_EVENT = """jsonb_set(payload, '{resource}', (
    SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(payload->'resource')
    WHERE key IN ('id', 'custom_id', 'status', 'amount', 'links', 'supplementary_data',
        'dispute_id', 'reason')))
"""
"""An event without personal data: PayPal repeats the payer and the address in many places."""
OWN_JOBS = "SELECT id FROM job WHERE owner_id = :user"
OWN_PRODUCTS = "SELECT id FROM product WHERE owner_id = :user"


@dataclass(frozen=True)
class TableRule:
    """The rule of one table.

    Attributes:
        key: the unique column in whose order rows are read.
        owned: the condition of the rows about an account; None if there are none.
        deletion: what the account's deletion does with these rows: it deletes them (`rows`), sets
            the `cleared` columns, or leaves them to another step (`step`), which `why` names.
        blobs: columns with keys of the rows' own blobs, which are removed with the rows.
        cleared: column -> SQL of its new value.
        withheld: columns that an export leaves out.
        is_exported: whether these rows are part of the account's export.
        retention: how long rows are stored otherwise, and what ends them.
        why: the reason, if `owned` is None or the step is special.
    """

    key: str
    retention: str
    owned: str | None = None
    deletion: Literal["rows", "cleared", "step", "none"] = "none"
    cleared: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    is_exported: bool = False
    is_in_backup: bool = True
    blobs: tuple[str, ...] = ()
    why: str = ""


# In the order of their deletion: a row is deleted before the row that it refers to.
TABLES: dict[str, TableRule] = {
    "search_log": TableRule(
        "id", "STUDIO_SEARCH_LOG_DAYS; personal columns: STUDIO_SEARCH_PERSONAL_DAYS",
        "user_id = :user", "rows", is_exported=True,
    ),
    "mention": TableRule(
        "id", "until no job and no search names the picture", "user_id = :user", "rows",
        why="not exported: ids of deleted pictures, until nothing contains them",
    ),
    "prediction": TableRule(
        "id", "until its picture or account is deleted", "user_id = :user", "rows",
        is_exported=True, blobs=("heatmap_key",),
    ),
    "segmentation_result": TableRule(
        "id", "until its picture or account is deleted", "user_id = :user", "rows",
        is_exported=True, blobs=("mask_key",),
    ),
    "tryon_job": TableRule(
        "id", "until it, the person's picture or the account is deleted", "user_id = :user",
        "rows", is_exported=True, blobs=("output_key", "person_key", "garment_key", "mask_key"),
    ),
    "job_event": TableRule(
        "id", "with its job", f"job_id IN ({OWN_JOBS})", "rows", is_exported=True,
    ),
    "job": TableRule(
        "id", "STUDIO_JOB_RETENTION_DAYS after its end", "owner_id = :user", "step",
        withheld=("leased_by", "fence", "fingerprint", "traceparent"), is_exported=True,
        why="running ones, too: `studio.deletion.lineage.delete_own_jobs`",
    ),
    "product_embedding": TableRule(
        "product_id", "until the product is deleted", f"product_id IN ({OWN_PRODUCTS})", "step",
        why="embeddings of products' pictures; deleted with the product",
    ),
    "product_image": TableRule(
        "id", "until the product shows it no longer", f"product_id IN ({OWN_PRODUCTS})", "step",
        is_exported=True, why="deleted with the product",
    ),
    "product": TableRule(
        "id", "until it is deleted; its emptied row until every index version has removed it",
        "owner_id = :user", "step", is_exported=True,
        why="removed from sale and emptied: `db.deletion.product_removal.empty_some_products`",
    ),
    "regressor_version": TableRule(
        "version", "until the account is deleted", "owner_id = :user", "rows", is_exported=True,
    ),
    "webhook_event": TableRule(
        "event_id", "STUDIO_WEBHOOK_EVENT_DAYS, applied ones", OWN_EVENTS, "cleared",
        cleared={"payload": FACTS_OF_EVENT}, is_exported=True,
    ),
    "payment": TableRule(
        "id", "kept, because the law requires it", "user_id = :user", "cleared",
        cleared={
            "user_id": "NULL", "payload": "payload - 'payer'", "idempotency_key": "NULL",
            "fingerprint": "NULL", "approval_url": "NULL",
        },
        withheld=("fingerprint",), is_exported=True,
    ),
    "audit_log": TableRule(
        "id", "STUDIO_AUDIT_DAYS", "actor_id = :user OR subject = :subject", "cleared",
        cleared={"ip": "NULL", "detail": "detail - 'email' - 'name'"}, is_exported=True,
    ),
    "refresh_token": TableRule(
        "id", "a week after its end", "user_id = :user", "rows", withheld=("token_hash",),
        is_exported=True, is_in_backup=False,
    ),
    "api_key": TableRule(
        "id", "until it is revoked, or a week after its end", "user_id = :user", "rows",
        withheld=("key_hash",), is_exported=True, is_in_backup=False,
    ),
    "files": TableRule(
        "id", "until its owner deletes it; a day if it was never completed",
        "owner_id = :user", "rows", is_exported=True, blobs=("blob_key",),
    ),
    "users": TableRule(
        "id", "until it is deleted", "id = :user", "step", why="last: `studio.accounts.removal`",
        withheld=("password_hash", "token_version", "ended_at"), is_exported=True,
    ),
    "index_version": TableRule(
        "version", "the active one and the three newest others; failed ones a week",
        why="belongs to the whole catalogue",
    ),
    "search_setting": TableRule(
        "name", "until an admin replaces it", why="belongs to the whole studio"
    ),
    "model_rollout": TableRule(
        "model", "until `studio models finish`", why="belongs to the whole studio"
    ),
    "erasure": TableRule("id", "kept", why="contains what was deleted, but not whose it was"),
    "doomed_blob": TableRule("key", "until the blob is gone", why="keys of deleted blobs"),
}  # fmt: skip


@dataclass(frozen=True)
class BlobRule:
    """The rule of all blobs whose keys match `pattern`.

    Attributes:
        key_query: SQL that selects, as `key`, those of `:keys` that have a row. None: such blobs
            have no rows, and are removed a day after they were written.
        row_query: SQL that selects (id, key) of the rows whose blob must exist.
        is_exported: whether the account's export contains these blobs.
        deletion: what removes them with an account.
    """

    pattern: str
    deletion: str
    retention: str
    key_query: str | None = None
    row_query: str | None = None
    is_exported: bool = False
    is_in_backup: bool = True


# The rule of a key is the first one whose pattern matches it: `rule_of`.
BLOBS: tuple[BlobRule, ...] = (
    BlobRule(
        r"uploads/imports/[^/]+", "with its job", "with its job",
        "SELECT payload->>'blobKey' AS key FROM job WHERE payload->>'blobKey' = ANY(:keys)",
    ),
    BlobRule(
        r"uploads/[^/]+/fetched/[^/]+", "with its try-on", "with its try-on",
        "SELECT person_key AS key FROM tryon_job WHERE person_key = ANY(:keys)"
        " UNION SELECT garment_key FROM tryon_job WHERE garment_key = ANY(:keys)"
        " UNION SELECT mask_key FROM tryon_job WHERE mask_key = ANY(:keys)",
        is_exported=True,
    ),
    BlobRule(
        r"uploads/.+", "with the file", "with the file",
        "SELECT blob_key AS key FROM files WHERE blob_key = ANY(:keys)",
        "SELECT id::text, blob_key AS key FROM files WHERE status = 'ready'",
        is_exported=True,
    ),
    BlobRule(
        r"masks/.+", "with the picture or the account", "with the picture",
        "SELECT mask_key AS key FROM segmentation_result WHERE mask_key = ANY(:keys)",
        "SELECT id::text, mask_key AS key FROM segmentation_result",
        is_exported=True,
    ),
    BlobRule(
        r"tryon/.+", "with the person's picture, the try-on or the account", "with the try-on",
        "SELECT output_key AS key FROM tryon_job WHERE output_key = ANY(:keys)",
        "SELECT id::text, output_key AS key FROM tryon_job WHERE output_key IS NOT NULL",
        is_exported=True,
    ),
    BlobRule(
        r"heatmaps/.+", "with the picture or the account", "with the picture",
        "SELECT heatmap_key AS key FROM prediction WHERE heatmap_key = ANY(:keys)",
        "SELECT id::text, heatmap_key AS key FROM prediction WHERE heatmap_key IS NOT NULL",
        is_exported=True,
    ),
    BlobRule(
        r"products/.+", "with the product", "with the product",
        "SELECT image_key AS key FROM product"
        " WHERE image_key = ANY(:keys) AND deleted_at IS NULL"
        " UNION SELECT image_key FROM product_image WHERE image_key = ANY(:keys)",
        "SELECT id::text, image_key AS key FROM product WHERE deleted_at IS NULL"
        " UNION ALL SELECT product_id, image_key FROM product_image",
        is_exported=True,
    ),
    BlobRule(
        r"indexes/.+", "embeddings without personal data; deleted with the version",
        "the active version and the three newest others",
        "SELECT key FROM unnest(CAST(:keys AS text[])) AS asked(key) JOIN index_version"
        " ON version = split_part(key, '/', 2) WHERE status <> 'failed'",
    ),
    BlobRule(
        r"regressors/[^/]+/evaluations/.+", "after a day", "a day: plots of one answer",
        is_in_backup=False,
    ),
    BlobRule(
        r"regressors/.+", "with the version", "until the account is deleted",
        "SELECT key FROM unnest(CAST(:keys AS text[])) AS asked(key) JOIN regressor_version"
        " ON version = split_part(key, '/', 2)",
    ),
)  # fmt: skip


def rule_of(key: str) -> BlobRule | None:
    """The rule of a key; None if no rule matches it."""
    return next((rule for rule in BLOBS if re.fullmatch(rule.pattern, key)), None)
