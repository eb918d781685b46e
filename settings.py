"""The studio's settings: read from the environment once, validated, and frozen."""

import os
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from secret_files import PREFIX, SECRETS, SecretSettings, variable_of

PROJECT_ROOT = Path(__file__).resolve().parent
PAYPAL_SITES = ("live", "sandbox", "off")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ON_THIS_MACHINE = (*LOOPBACK, None)
"""Hosts in a server's URL that need no network; the URL of a Unix socket names no host."""
SECRET_BYTES = 32
SECRET_SYMBOLS = 10
"""How many different bytes a secret must have; 32 random bytes practically always have 20."""
PRODUCTION_TRYON = "hf-hub:diffusers/stable-diffusion-xl-1.0-inpainting-0.1"
PRODUCTION_TRYON_ADAPTER = (
    "h94/IP-Adapter:sdxl_models:ip-adapter-plus_sdxl_vit-h.safetensors:models/image_encoder"
)
"""The one that reads all patches of the garment's picture, instead of one vector of it."""
PRODUCTION_EMBEDDER = "hf-hub:Marqo/marqo-fashionSigLIP"
PRODUCTION_SAM = "hf-hub:ybelkada/segment-anything/checkpoints/sam_vit_b_01ec64.pth"


class Settings(SecretSettings):
    """The `STUDIO_*` variables. An unset URL means an embedded server, which `studio up` starts.

    A secret, or a URL that contains one, may be in a file that `STUDIO_…_FILE` names instead: see
    `secret`. Everything else is read once.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    env: Literal["development", "production"] = "development"
    profile: Literal["starter", "production"] = "starter"
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    dashboard_port: int = Field(8265, ge=1, le=65535)
    public_url: str | None = None
    data_dir: Path = PROJECT_ROOT / ".studio"

    database_url: str | None = None
    redis_url: str | None = None
    blob_url: str | None = None
    database_pool_size: int = Field(10, ge=1, le=100)
    private_network: bool = False
    quota_mb: int = Field(2000, ge=1)
    disk_floor_mb: int = Field(500, ge=0)

    jwt_secret: SecretStr | None = None
    jwt_previous_secret: SecretStr | None = None
    access_token_minutes: int = Field(15, ge=1, le=60)
    refresh_token_days: int = Field(30, ge=1, le=90)
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    demo_password: SecretStr = SecretStr("studio-demo")
    demo_products: int = Field(648, ge=0, le=100_000)

    embedder: str | None = None
    embedder_next: str | None = None
    embedder_next_precision: Literal["fp32", "fp16", "bf16"] | None = None
    tryon: str | None = None
    tryon_next: str | None = None
    tryon_adapter: str | None = None
    precision: Literal["fp32", "fp16", "bf16"] | None = None
    device: Literal["auto", "cpu"] = "auto"
    parser: str | None = None
    parser_next: str | None = None
    sam: str | None = None
    sam_next: str | None = None
    allow_noncommercial: bool = False
    models_lock: Path = PROJECT_ROOT / "models.lock"

    paypal_url: str | None = None
    paypal_client_id: str | None = None
    paypal_client_secret: SecretStr | None = None
    paypal_webhook_id: str | None = None
    paypal_webhook_verify: Literal["local", "postback"] = "local"
    paypal_ca_file: Path | None = None

    job_retention_days: int = Field(30, ge=1)
    search_log_days: int = Field(90, ge=1)
    search_personal_days: int = Field(30, ge=1)
    audit_days: int = Field(365, ge=1)
    webhook_event_days: int = Field(90, ge=1)

    limit_auth: int = Field(10, ge=1)
    limit_search: int = Field(600, ge=1)
    limit_cv: int = Field(60, ge=1)
    limit_default: int = Field(600, ge=1)
    concurrent_search: int = Field(512, ge=1)
    concurrent_cv: int = Field(32, ge=1)
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    fetch_allow: tuple[str, ...] = ()
    otlp_url: str | None = None

    @field_validator("trusted_proxies")
    @classmethod
    def refuse_the_whole_internet(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        """A network of all addresses would let every caller choose its client address."""
        for proxy in proxies:
            if ip_network(proxy, strict=False).prefixlen == 0:
                raise ValueError(f"{proxy} contains every address; name the proxies' addresses")
        return proxies

    @field_validator("cors_origins", mode="before")
    @classmethod
    def read_origins(cls, origins: str | tuple[str, ...]) -> tuple[str, ...]:
        """Reads a list with commas; exact origins only, so that no other site gets in."""
        texts = origins.split(",") if isinstance(origins, str) else origins
        return tuple(read_origin(text.strip()) for text in texts if text.strip())

    @model_validator(mode="after")
    def refuse_unsafe_production(self) -> "Settings":
        """In production, the servers, the secret and the public URL must be set explicitly."""
        if self.env != "production":
            return self
        needed = {
            "STUDIO_DATABASE_URL": self.database_url,
            "STUDIO_REDIS_URL": self.redis_url,
            "STUDIO_BLOB_URL": self.blob_url,
            "STUDIO_JWT_SECRET": self.jwt_secret,
            "STUDIO_PUBLIC_URL": self.public_url,
            "STUDIO_PAYPAL_URL (live, sandbox or off)": self.paypal_url,
        }
        missing = [name for name, value in needed.items() if value is None]
        if missing:
            raise ValueError(f"STUDIO_ENV=production needs {', '.join(missing)}")
        if self.paypal_url not in PAYPAL_SITES:
            raise ValueError(
                "STUDIO_ENV=production does not use the payment simulator: "
                f"STUDIO_PAYPAL_URL must be one of {', '.join(PAYPAL_SITES)}"
            )
        return self

    @model_validator(mode="after")
    def refuse_open_production(self) -> "Settings":
        """In production, all data that crosses a network must be encrypted."""
        if self.env != "production":
            return self
        if not self.has_tls:
            raise ValueError("STUDIO_ENV=production needs a STUDIO_PUBLIC_URL of https://")
        if (self.blob_url or "").startswith("file:"):
            raise ValueError(
                "STUDIO_ENV=production needs a STUDIO_BLOB_URL that every node reaches: "
                "azure://… or https://…, not a folder"
            )
        plain = [origin for origin in self.cors_origins if not is_protected(origin)]
        if plain:
            raise ValueError(f"production needs https:// in STUDIO_CORS_ORIGINS: {plain[0]}")
        if not self.private_network:
            self._refuse_plain_servers()
        return self

    def _refuse_plain_servers(self) -> None:
        """Servers on other machines need TLS with verified certificates."""
        hint = "or STUDIO_PRIVATE_NETWORK=true where the network itself is encrypted"
        database = urlsplit(self.database_url or "")
        mode = parse_qs(database.query).get("sslmode", [""])[-1]
        if database.hostname not in ON_THIS_MACHINE and mode not in ("verify-ca", "verify-full"):
            raise ValueError(
                f"STUDIO_ENV=production needs ?sslmode=verify-full in STUDIO_DATABASE_URL, {hint}"
            )
        cache = urlsplit(self.redis_url or "")
        verified = parse_qs(cache.query).get("ssl_cert_reqs", ["required"])[-1] == "required"
        if cache.hostname not in ON_THIS_MACHINE and not (cache.scheme == "rediss" and verified):
            raise ValueError(
                "STUDIO_ENV=production needs a STUDIO_REDIS_URL of rediss:// with certificates "
                f"verified, {hint}"
            )

    @model_validator(mode="after")
    def refuse_half_a_paypal(self) -> "Settings":
        """A PayPal address without an account would fail only at the first order."""
        if self.paypal_url not in PAYPAL_SITES and not self._is_loopback(self.paypal_url):
            raise ValueError(
                "STUDIO_PAYPAL_URL must be live, sandbox, off, or a simulator's http://127.0.0.1:…"
            )
        if self.paypal_url not in (None, "off"):
            names = ("paypal_client_id", "paypal_client_secret", "paypal_webhook_id")
            missing = [PREFIX + name.upper() for name in names if not getattr(self, name)]
            if missing:
                raise ValueError(f"STUDIO_PAYPAL_URL needs {', '.join(missing)}")
        return self

    @staticmethod
    def _is_loopback(url: str | None) -> bool:
        return url is None or urlsplit(url).hostname in LOOPBACK

    @model_validator(mode="after")
    def refuse_weak_secrets(self) -> "Settings":
        """HS256 needs random keys that are at least as long as its digest (RFC 7518, 3.2)."""
        for name in ("jwt_secret", "jwt_previous_secret"):
            if (secret := getattr(self, name)) is None:
                continue
            value = secret.get_secret_value().encode()
            if len(value) < SECRET_BYTES:
                raise ValueError(f"{PREFIX}{name.upper()} must have at least 32 bytes")
            if self.env == "production" and len(set(value)) < SECRET_SYMBOLS:
                raise ValueError(
                    f"{PREFIX}{name.upper()} is too regular to be random; "
                    "`openssl rand -base64 48` prints a good one"
                )
        return self

    @model_validator(mode="after")
    def refuse_half_a_provider(self) -> "Settings":
        """An OpenID provider needs all of its settings, and TLS unless it is on this machine."""
        values = (self.oidc_issuer, self.oidc_client_id, self.oidc_client_secret)
        if self.oidc_issuer is None or None in values:
            if any(values):
                raise ValueError(
                    "STUDIO_OIDC_ISSUER, STUDIO_OIDC_CLIENT_ID and STUDIO_OIDC_CLIENT_SECRET "
                    "belong together"
                )
            return self
        local = urlsplit(self.oidc_issuer).hostname in {"127.0.0.1", "localhost"}
        if not self.oidc_issuer.startswith("http://" if local else "https://"):
            raise ValueError("STUDIO_OIDC_ISSUER must start with https://")
        return self

    @cached_property
    def base_url(self) -> str:
        """The URL of the studio for its callers, without a slash at the end; signed URLs use it."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def has_tls(self) -> bool:
        """Whether callers use https, also where a proxy terminates the TLS."""
        return self.base_url.startswith("https://")

    @property
    def quota_bytes(self) -> int:
        """The storage of one account for uploads, masks, try-ons, fetched copies and heatmaps."""
        return self.quota_mb * 1_000_000

    @cached_property
    def embedder_checkpoint(self) -> str:
        """`STUDIO_EMBEDDER`, or else the profile's checkpoint."""
        if self.embedder:
            return self.embedder
        return "starter" if self.profile == "starter" else PRODUCTION_EMBEDDER

    @property
    def requires_pins(self) -> bool:
        """Whether a hub's checkpoints must be pinned in `models.lock`."""
        return "production" in (self.env, self.profile)

    @cached_property
    def parser_checkpoint(self) -> str:
        """`STUDIO_PARSER`, or else the project's own, as published ones are non-commercial."""
        return self.parser or "starter"

    @cached_property
    def sam_checkpoint(self) -> str:
        """`STUDIO_SAM`, or else the profile's checkpoint; "off" for none."""
        return self.sam or ("off" if self.profile == "starter" else PRODUCTION_SAM)

    @cached_property
    def model_precision(self) -> Literal["fp32", "fp16", "bf16"]:
        """The precision of every network: `STUDIO_PRECISION`, or else the profile's."""
        return self.precision or ("fp32" if self.profile == "starter" else "fp16")

    @cached_property
    def tryon_checkpoint(self) -> str:
        """`STUDIO_TRYON`, or else the profile's painter; the starter profile only composites."""
        if self.tryon:
            return self.tryon
        return "composite" if self.profile == "starter" else PRODUCTION_TRYON

    @cached_property
    def tryon_adapter_checkpoint(self) -> str | None:
        """`STUDIO_TRYON_ADAPTER`, or else the IP-Adapter of the production profile's painter."""
        if self.tryon_adapter or self.tryon or self.profile == "starter":
            return self.tryon_adapter
        return PRODUCTION_TRYON_ADAPTER

    @property
    def has_next_embedder(self) -> bool:
        """Whether a second embedder is deployed: another checkpoint, or another precision."""
        return bool(self.embedder_next or self.embedder_next_precision)

    @property
    def has_next_segmenter(self) -> bool:
        """Whether a second segmenter is deployed, with another parser or another SAM."""
        return bool(self.parser_next or self.sam_next)

    @property
    def has_next_tryon(self) -> bool:
        """Whether a second try-on model is deployed."""
        return bool(self.tryon_next)

    def jwt_secrets(self) -> tuple[str, ...]:
        """The secrets of tokens and signed URLs, as they are now: the first signs, all verify."""
        secrets = [self.present("jwt_secret")]
        if self.jwt_previous_secret is not None:
            secrets.append(self.present("jwt_previous_secret"))
        return tuple(secrets)


def read_origin(text: str) -> str:
    """An origin as browsers send it: lower case, without the scheme's own port.

    Raises:
        ValueError: it is not `scheme://host` or `scheme://host:port`; the message says why.
    """
    if "*" in text:
        raise ValueError(f"{text} would let pages of strangers in; name each shop's origin")
    parts = urlsplit(text.lower().removesuffix("/"))
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    spellings = [f"{parts.scheme}://{host}", f"{parts.scheme}://{host}:{parts.port}"]
    is_exact = host and text.isascii() and parts.geturl() in spellings
    if parts.scheme not in ("http", "https") or not is_exact:
        raise ValueError(
            f"{text} is not an origin; expected https://host or https://host:port, without a path "
            "(names of other alphabets as xn--…)"
        )
    has_port = parts.port not in (None, {"http": 80, "https": 443}[parts.scheme])
    return spellings[has_port]


def is_protected(origin: str) -> bool:
    """Whether nobody on the network can change the pages of this origin."""
    return origin.startswith("https://") or urlsplit(origin).hostname in LOOPBACK


def load_settings() -> Settings:
    """Reads the settings from the environment.

    Raises:
        SetupError: a variable is wrong; the message names it and says why.
    """
    return Settings.load()


def unknown_variables() -> list[str]:
    """`STUDIO_*` names in the environment that belong to no setting; they are likely misspelt."""
    names = {PREFIX + name.upper() for name in Settings.model_fields}
    names |= {variable_of(name) for name in SECRETS}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in names)
