"""Every table of the studio; schema changes go through migrations."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

# Named constraints, so that alembic can change them later.
SQLModel.metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

product_change_seq = Sequence("product_change_seq", metadata=SQLModel.metadata)
"""Numbers every change of the catalogue, under a lock, so that the order is commit order."""


def moment(*, nullable: bool = False, index: bool = False) -> Any:
    """A timestamptz column; the database sets it if it may not be null."""
    return Field(
        default=None,
        index=index,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={
            "nullable": nullable,
            "server_default": None if nullable else func.now(),
        },
    )


def document(*, nullable: bool = False) -> Any:
    """A jsonb column, `{}` unless set."""
    kwargs: dict[str, Any] = {"nullable": nullable}
    if not nullable:
        kwargs["server_default"] = text("'{}'::jsonb")
    return Field(default=None if nullable else {}, sa_type=JSONB, sa_column_kwargs=kwargs)


def one_of(column: str, *values: str) -> CheckConstraint:
    """A check that the column holds one of the values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def one_receipt(table: str) -> Index:
    """A unique index: an owner's `idempotency_key` stands for one row, `receipt` for its answer."""
    return Index(
        f"uq_{table}_user_id_idempotency_key",
        "user_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    )


Role = Literal["customer", "merchant", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""The roles of an account, lowest first; each may do what the roles before it may do."""


class User(SQLModel, table=True):
    """An account; e-mail addresses are unique without case.

    Attributes:
        ended_at: when its removal began; since then nobody can sign in to it.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index("uq_users_email", text("lower(email)"), unique=True),
        one_of("role", *ROLES),
        UniqueConstraint("oidc_issuer", "oidc_subject"),
        Index("ix_users_ended_at", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    email: str = Field(sa_type=Text)
    password_hash: str = Field(sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    role: str = Field(default="customer", sa_type=Text)
    token_version: int = 0
    oidc_issuer: str | None = Field(default=None, sa_type=Text)
    oidc_subject: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = moment()
    ended_at: datetime | None = moment(nullable=True)


class RefreshToken(SQLModel, table=True):
    """One token of a rotating family; only the SHA-256 of the token is stored.

    Attributes:
        version: the account's `token_version` when the token was issued; the token is valid only
            while the account still has this version.
        network, user_agent: of the caller who signed in, at the first token of a family.
    """

    __tablename__ = "refresh_token"
    __table_args__ = (
        Index(
            "ix_refresh_token_revoked_at",
            "revoked_at",
            postgresql_where=text("revoked_at IS NOT NULL"),
        ),
        Index(
            "ix_refresh_token_network",
            "user_id",
            "network",
            postgresql_where=text("network IS NOT NULL"),
        ),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    family_id: UUID = Field(index=True)
    user_id: UUID = Field(foreign_key="users.id", index=True, ondelete="CASCADE")
    token_hash: bytes = Field(sa_type=LargeBinary, unique=True)
    version: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    network: str | None = Field(default=None, sa_type=Text)
    user_agent: str | None = Field(default=None, sa_type=Text)
    issued_at: datetime = moment()
    expires_at: datetime = Field(sa_type=DateTime(timezone=True), index=True)
    used_at: datetime | None = moment(nullable=True)
    revoked_at: datetime | None = moment(nullable=True)


class ApiKey(SQLModel, table=True):
    """A key for an account's servers; only its SHA-256 is stored. A revoked key has no row.

    Attributes:
        hint: the last characters of the key, by which its owner recognises it.
        role: the highest role that the key has; the account's own role limits it further.
        last_used_at: to within a minute.
    """

    __tablename__ = "api_key"
    __table_args__ = (
        one_of("role", *ROLES),
        Index("ix_api_key_user_id_created_at", "user_id", "created_at", "id"),
        Index(
            "ix_api_key_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")
        ),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    name: str = Field(sa_type=Text)
    key_hash: bytes = Field(sa_type=LargeBinary, unique=True)
    hint: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    created_at: datetime = moment()
    expires_at: datetime | None = moment(nullable=True)
    last_used_at: datetime | None = moment(nullable=True)


class File(SQLModel, table=True):
    """An upload: pending until its blob was checked, then ready, or failed and without a blob.

    Attributes:
        failure: the class of the error, a colon and the message.
        check_ends_at: the end of one Gateway's lease to check it; other Gateways wait until then.
    """

    __tablename__ = "files"
    __table_args__ = (
        one_of("purpose", "selfie", "garment", "product", "dataset"),
        one_of("status", "pending", "ready", "failed"),
        Index("ix_files_owner_id_created_at", "owner_id", "created_at", "id"),
        Index("ix_files_unfinished", "created_at", postgresql_where=text("status <> 'ready'")),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    owner_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    purpose: str = Field(sa_type=Text)
    filename: str = Field(sa_type=Text)
    content_type: str = Field(sa_type=Text)
    size_bytes: int = Field(sa_type=BigInteger)
    blob_key: str = Field(sa_type=Text, unique=True)
    status: str = Field(default="pending", sa_type=Text)
    sha256: str | None = Field(default=None, sa_type=Text)
    width: int | None = None
    height: int | None = None
    failure: str | None = Field(default=None, sa_type=Text)
    check_ends_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment()
    completed_at: datetime | None = moment(nullable=True)


class Product(SQLModel, table=True):
    """A product with its first picture; `ProductImage` has the others.

    The row of a deleted product stays until every index has removed it.

    Attributes:
        owner_id: None once the account is deleted; its products are deleted with it.
        sku: the merchant's own number of it.
        group_id: what the variants of one product share.
        url: its page in the merchant's shop.
        list_price: the price before a sale, above `price`; None if it is not on sale.
    """

    __tablename__ = "product"
    __table_args__ = (
        CheckConstraint("price >= 0", name="price"),
        Index(
            "ix_product_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")
        ),
        Index("ix_product_id_bytes", "id"),  # with COLLATE "C", which Alembic does not compare
    )
    id: str = Field(primary_key=True, sa_type=Text)
    owner_id: UUID | None = Field(default=None, foreign_key="users.id", index=True)
    title: str = Field(sa_type=Text)
    description: str | None = Field(default=None, sa_type=Text)
    category: str = Field(sa_type=Text)
    brand: str | None = Field(default=None, sa_type=Text)
    sku: str | None = Field(default=None, sa_type=Text)
    group_id: str | None = Field(default=None, sa_type=Text)
    url: str | None = Field(default=None, sa_type=Text)
    price: Decimal = Field(sa_type=Numeric)
    list_price: Decimal | None = Field(default=None, sa_type=Numeric)
    currency: str = Field(sa_type=Text)
    in_stock: bool = True
    attributes: dict[str, Any] = document()
    file_id: UUID | None = Field(default=None, foreign_key="files.id", index=True)
    image_key: str = Field(sa_type=Text, index=True)
    image_url: str | None = Field(default=None, sa_type=Text)
    image_sha256: str = Field(sa_type=Text)
    change_seq: int = Field(sa_type=BigInteger, unique=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()
    deleted_at: datetime | None = moment(nullable=True)


class ProductImage(SQLModel, table=True):
    """A product's picture after the first, which is in the product's own row.

    Its columns are named as there. A deleted product has none.

    Attributes:
        position: its place among the product's pictures; the first picture's place is 0.
        file_id: the owner's upload that it was made of.
        image_key: the public copy.
        image_url: where it was fetched from, if it was not an upload.
        image_sha256: of the picture that the copy was made of.
    """

    __tablename__ = "product_image"
    __table_args__ = (
        UniqueConstraint("product_id", "position"),
        CheckConstraint("position BETWEEN 1 AND 7", name="position"),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    product_id: str = Field(foreign_key="product.id", sa_type=Text, ondelete="CASCADE")
    position: int
    file_id: UUID | None = Field(default=None, foreign_key="files.id", index=True)
    image_key: str = Field(sa_type=Text, index=True)
    image_url: str | None = Field(default=None, sa_type=Text)
    image_sha256: str = Field(sa_type=Text)


class ProductEmbedding(SQLModel, table=True):
    """The embedding of a product's first picture by one embedder.

    The vector has little-endian float16 numbers and unit length.
    """

    __tablename__ = "product_embedding"
    product_id: str = Field(
        primary_key=True, foreign_key="product.id", sa_type=Text, ondelete="CASCADE"
    )
    embedder_version: str = Field(primary_key=True, sa_type=Text)
    vector: bytes = Field(sa_type=LargeBinary)
    image_sha256: str = Field(sa_type=Text)
    created_at: datetime = moment()


class SearchSetting(SQLModel, table=True):
    """Synonyms or merchandising rules that admins keep for the search; `revision` counts writes."""

    __tablename__ = "search_setting"
    __table_args__ = (one_of("name", "synonyms", "rules"),)
    name: str = Field(primary_key=True, sa_type=Text)
    document: dict[str, Any] = document()
    revision: int = Field(sa_type=BigInteger)
    changed_at: datetime = moment()


class IndexVersion(SQLModel, table=True):
    """An immutable set of index files in the blob store; at most one is active."""

    __tablename__ = "index_version"
    __table_args__ = (
        one_of("status", "building", "ready", "active", "retired", "failed"),
        Index(
            "uq_index_version_active",
            "status",
            unique=True,
            postgresql_where=text("status = 'active'"),
        ),
    )
    version: str = Field(primary_key=True, sa_type=Text)
    embedder_version: str = Field(sa_type=Text)
    status: str = Field(default="building", sa_type=Text)
    count: int = 0
    base_seq: int = Field(default=0, sa_type=BigInteger)
    manifest: dict[str, Any] = document()
    stats: dict[str, Any] = document()
    error: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = moment()
    activated_at: datetime | None = moment(nullable=True)


class ModelRollout(SQLModel, table=True):
    """The share of the traffic that the next model of a kind answers beside the one in service.

    embedder_version: of the row "embedder" only: the embedder beside that of the active index;
    replicas of Index hold its newest index too.
    """

    __tablename__ = "model_rollout"
    __table_args__ = (
        one_of("model", "embedder", "segmenter", "tryon"),
        CheckConstraint("share BETWEEN 0 AND 1", name="share"),
    )
    model: str = Field(primary_key=True, sa_type=Text)
    share: float = 0.0
    embedder_version: str | None = Field(default=None, sa_type=Text)
    changed_at: datetime = moment()


PERSONAL_SEARCH = (
    "user_id IS NOT NULL OR params ?| ARRAY['query'::text, 'image_url'::text, 'file_id'::text]"
)
"""The condition of searches that still contain personal data."""


class SearchLog(SQLModel, table=True):
    """One search: its query, its results, the versions that answered it, and the latency."""

    __tablename__ = "search_log"
    __table_args__ = (
        one_of("type", "text", "image", "hybrid", "similar"),
        Index("ix_search_log_personal", "at", postgresql_where=text(PERSONAL_SEARCH)),
        Index("ix_search_log_user_id_at", "user_id", "at", "id"),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    at: datetime = moment(index=True)
    user_id: UUID | None = Field(default=None, index=True)
    type: str = Field(sa_type=Text)
    params: dict[str, Any] = document()
    results: list[Any] = Field(
        default=[],
        sa_type=JSONB,
        sa_column_kwargs={"nullable": False, "server_default": text("'[]'::jsonb")},
    )
    latency_ms: float
    index_version: str = Field(sa_type=Text)
    embedder_version: str = Field(sa_type=Text)
    request_id: str = Field(sa_type=Text)


ACCOUNT = "COALESCE(owner_id, '00000000-0000-0000-0000-000000000000'::uuid)"
"""The account that a job is counted for; all jobs of the studio itself count as one account."""


class Job(SQLModel, table=True):
    """A job; its state is in the row, and any worker may run it."""

    __tablename__ = "job"
    __table_args__ = (
        one_of("state", "queued", "running", "succeeded", "failed", "cancelled"),
        UniqueConstraint("owner_id", "type", "idempotency_key"),
        Index(
            "ix_job_turns",
            "type",
            text(ACCOUNT),
            text("priority DESC"),
            "run_at",
            "id",
            postgresql_where=text("state = 'queued'"),
        ),
        Index(
            "ix_job_claimed",
            text(ACCOUNT),
            "claimed_at",
            postgresql_where=text("claimed_at IS NOT NULL"),
        ),
        Index("ix_job_running", "type", postgresql_where=text("state = 'running'")),
        Index("ix_job_owner_id_created_at", "owner_id", "created_at", "id"),
        Index("ix_job_finished_at", "finished_at"),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    type: str = Field(sa_type=Text)
    owner_id: UUID | None = Field(default=None, foreign_key="users.id")
    payload: dict[str, Any] = document()
    state: str = Field(default="queued", sa_type=Text)
    priority: int = 0
    run_at: datetime = moment()
    progress_done: int = 0
    progress_total: int = 0
    progress_message: str = Field(default="", sa_type=Text)
    attempts: int = 0
    max_attempts: int = 5
    crashes: int = 0
    fence: int = Field(default=0, sa_type=BigInteger)
    leased_by: str | None = Field(default=None, sa_type=Text)
    lease_until: datetime | None = moment(nullable=True)
    deadline_at: datetime | None = moment(nullable=True)
    cancel_requested: bool = False
    idempotency_key: str | None = Field(default=None, sa_type=Text)
    fingerprint: str | None = Field(default=None, sa_type=Text)
    result: dict[str, Any] | None = document(nullable=True)
    error: str | None = Field(default=None, sa_type=Text)
    request_id: str | None = Field(default=None, sa_type=Text)
    traceparent: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = moment()
    started_at: datetime | None = moment(nullable=True)
    claimed_at: datetime | None = moment(nullable=True)
    finished_at: datetime | None = moment(nullable=True)


class JobEvent(SQLModel, table=True):
    """A change of a job that its owner can follow; a job's ids grow in the order of commits."""

    __tablename__ = "job_event"
    __table_args__ = (Index("ix_job_event_job_id", "job_id", "id"),)
    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE")
    at: datetime = moment()
    state: str = Field(sa_type=Text)
    progress: dict[str, Any] = document()


class SegmentationResult(SQLModel, table=True):
    """A mask: its input, its parameters and its model; `stored_bytes` is the size of its blob."""

    __tablename__ = "segmentation_result"
    __table_args__ = (one_receipt("segmentation_result"),)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    input_key: str = Field(sa_type=Text, index=True)
    params: dict[str, Any] = document()
    mask_key: str = Field(sa_type=Text, index=True)
    label: str = Field(sa_type=Text)
    area: int
    bbox: dict[str, Any] = document()
    score: float
    model_version: str = Field(sa_type=Text)
    latency_ms: float
    stored_bytes: int | None = Field(default=None, sa_type=BigInteger)
    request_id: str = Field(sa_type=Text)
    idempotency_key: str | None = Field(default=None, sa_type=Text)
    receipt: dict[str, Any] | None = document(nullable=True)
    created_at: datetime = moment()


class TryonJob(SQLModel, table=True):
    """A try-on, direct or queued; a trigger copies the job's state to a queued one.

    Attributes:
        garment_key: None once the picture of the garment is deleted; the try-on stays.
        stored_bytes: the size of its picture and of the fetched copies.
    """

    __tablename__ = "tryon_job"
    __table_args__ = (
        one_of("state", "queued", "running", "succeeded", "failed", "cancelled"),
        Index("ix_tryon_job_user_id_created_at", "user_id", "created_at", "id"),
        one_receipt("tryon_job"),
    )
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="users.id")
    job_id: UUID | None = Field(default=None, foreign_key="job.id", index=True)
    person_key: str = Field(sa_type=Text, index=True)
    garment_key: str | None = Field(default=None, sa_type=Text, index=True)
    mask_key: str | None = Field(default=None, sa_type=Text, index=True)
    output_key: str | None = Field(default=None, sa_type=Text, index=True)
    params: dict[str, Any] = document()
    seed: int = Field(sa_type=BigInteger)
    state: str = Field(default="queued", sa_type=Text)
    timings: dict[str, Any] = document()
    model_version: str | None = Field(default=None, sa_type=Text)
    error: str | None = Field(default=None, sa_type=Text)
    stored_bytes: int | None = Field(default=None, sa_type=BigInteger)
    request_id: str = Field(sa_type=Text)
    idempotency_key: str | None = Field(default=None, sa_type=Text)
    receipt: dict[str, Any] | None = document(nullable=True)
    created_at: datetime = moment()
    finished_at: datetime | None = moment(nullable=True)


class Prediction(SQLModel, table=True):
    """A sales score with its interval and versions; `stored_bytes` is the size of its heatmap."""

    __tablename__ = "prediction"
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    input_key: str = Field(sa_type=Text, index=True)
    params: dict[str, Any] = document()
    score: float
    err_low: float
    err_high: float
    coverage: float
    heatmap_key: str | None = Field(default=None, sa_type=Text, index=True)
    model_version: str = Field(sa_type=Text)
    embedder_version: str = Field(sa_type=Text)
    stored_bytes: int | None = Field(default=None, sa_type=BigInteger)
    request_id: str = Field(sa_type=Text)
    created_at: datetime = moment()


class RegressorVersion(SQLModel, table=True):
    """A trained regressor of one merchant; at most one of a merchant's is active."""

    __tablename__ = "regressor_version"
    __table_args__ = (
        one_of("status", "training", "ready", "active", "retired", "failed"),
        Index(
            "uq_regressor_version_active",
            "owner_id",
            unique=True,
            postgresql_where=text("status = 'active'"),
        ),
    )
    version: str = Field(primary_key=True, sa_type=Text)
    owner_id: UUID = Field(foreign_key="users.id")
    embedder_version: str = Field(sa_type=Text)
    status: str = Field(default="training", sa_type=Text)
    manifest: dict[str, Any] = document()
    metrics: dict[str, Any] = document()
    created_at: datetime = moment()
    activated_at: datetime | None = moment(nullable=True)


PAYMENT_STATES = (
    "CREATING",  # the row exists, PayPal's order does not yet
    "FAILED",  # PayPal refused the order
    "CREATED",  # the payer may approve
    "APPROVED",
    "CAPTURING",  # the owner has requested the capture; it is completed from here on
    "VOIDED",  # the order no longer exists at PayPal, unpaid
    "PENDING",  # captured, and PayPal holds the money for now
    "DECLINED",
    "COMPLETED",
    "PARTIALLY_REFUNDED",
    "REFUNDED",
)
"""A payment only moves down this list, even if reports arrive in another order. There are two
exceptions, both before any money moves: a capture that PayPal refused goes back to CREATED, and an
uncaptured order follows PayPal's reports about its approval. Most of the names are PayPal's."""


class Payment(SQLModel, table=True):
    """A PayPal order with its capture and refunds; money is an exact decimal with a currency.

    Attributes:
        user_id: None once the account is deleted; the payment stays.
        refunds: requested by us or made at PayPal, by id; see `studio.payments.refund_lines`.
        attempt: the number of the capture's attempt; each has its own PayPal-Request-Id.
        check_at: when it is checked at PayPal again, or when a caller's lease ends; None means
            that it is not checked again.
    """

    __tablename__ = "payment"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("refunded >= 0 AND refunded <= amount", name="refunded"),
        one_of("status", *PAYMENT_STATES),
        UniqueConstraint("user_id", "idempotency_key"),
        Index("ix_payment_created_at", "created_at", "id"),
        Index("ix_payment_check_at", "check_at", postgresql_where=text("check_at IS NOT NULL")),
    )  # fmt: skip
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID | None = Field(default=None, foreign_key="users.id", index=True)
    order_id: str | None = Field(default=None, sa_type=Text, unique=True)
    capture_id: str | None = Field(default=None, sa_type=Text, unique=True)
    status: str = Field(sa_type=Text)
    amount: Decimal = Field(sa_type=Numeric)
    currency: str = Field(sa_type=Text)
    refunded: Decimal = Field(
        default=Decimal(0), sa_column=Column(Numeric, nullable=False, server_default=text("0"))
    )
    payload: dict[str, Any] = document()
    refunds: dict[str, Any] = document()
    approval_url: str | None = Field(default=None, sa_type=Text)
    attempt: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    check_at: datetime | None = moment(nullable=True)
    idempotency_key: str | None = Field(default=None, sa_type=Text)
    fingerprint: str | None = Field(default=None, sa_type=Text)
    request_id: str = Field(sa_type=Text)
    created_at: datetime = moment()
    updated_at: datetime = moment()


class WebhookEvent(SQLModel, table=True):
    """A verified event of PayPal's, stored once and applied once."""

    __tablename__ = "webhook_event"
    __table_args__ = (
        Index("ix_webhook_event_retry_at", "retry_at", postgresql_where=text("applied_at IS NULL")),
    )
    event_id: str = Field(primary_key=True, sa_type=Text)
    type: str = Field(sa_type=Text, index=True)
    payload: dict[str, Any] = document()
    received_at: datetime = moment(index=True)
    applied_at: datetime | None = moment(nullable=True)
    retry_at: datetime = moment()
    attempts: int = 0
    error: str | None = Field(default=None, sa_type=Text)


class AuditLog(SQLModel, table=True):
    """One action with its actor and subject, written in the transaction of the action."""

    __tablename__ = "audit_log"
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    at: datetime = moment(index=True)
    actor_id: UUID | None = Field(default=None, index=True)
    action: str = Field(sa_type=Text, index=True)
    subject: str | None = Field(default=None, sa_type=Text, index=True)
    outcome: str = Field(default="ok", sa_type=Text)
    ip: str | None = Field(default=None, sa_type=Text)
    detail: dict[str, Any] = document()
    request_id: str | None = Field(default=None, sa_type=Text)


class Erasure(SQLModel, table=True):
    """A deletion, without its owner; `studio restore` repeats it after an older backup."""

    __tablename__ = "erasure"
    __table_args__ = (one_of("kind", "file", "tryon", "product", "account"),)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    at: datetime = moment(index=True)
    kind: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)


class DoomedBlob(SQLModel, table=True):
    """A blob whose rows are deleted; it is removed at once, or by `tidy`, which retries.

    Attributes:
        due_at: the earliest time of the removal. There is a second row with a later time if a job
            that is being stopped may still write the blob.
    """

    __tablename__ = "doomed_blob"
    key: str = Field(primary_key=True, sa_type=Text)
    due_at: datetime = Field(
        default=None,
        primary_key=True,
        index=True,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now()},
    )


class Mention(SQLModel, table=True):
    """Ids of deleted pictures that searches and jobs of an account may still contain.

    `tidy` removes them page by page, from searches before jobs.

    Attributes:
        after_at, after_id: the last row that was stripped.
        is_running: whether a job that contains one of the ids was still running.
    """

    __tablename__ = "mention"
    __table_args__ = (one_of("stage", "search_log", "job"),)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID
    names: list[str] = Field(sa_type=JSONB, sa_column_kwargs={"nullable": False})
    stage: str = Field(
        default="search_log", sa_type=Text, sa_column_kwargs={"server_default": "search_log"}
    )
    after_at: datetime | None = moment(nullable=True)
    after_id: UUID | None = None
    is_running: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    due_at: datetime = moment(index=True)
