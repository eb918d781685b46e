"""One running simulator: its books, its script of faults, its outbox, its tokens."""

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from local.paypal.books import Books
from local.paypal.delivery import Delivery
from local.paypal.faults import Script
from local.paypal.signing import Signer

TOKEN_S = 32_400


@dataclass(frozen=True)
class SimulatorArgs:
    """Where it lives, who may use it, and where its events go (nowhere: a test takes them)."""

    folder: Path
    base: str
    client_id: str
    client_secret: str
    webhook_id: str
    target: str = ""


@dataclass
class State:
    """What the routes work on."""

    args: SimulatorArgs
    books: Books
    signer: Signer
    delivery: Delivery
    script: Script = field(default_factory=Script)
    tokens: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, args: SimulatorArgs) -> "State":
        """Finds everything of former runs again, except tokens."""
        args.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        books = Books(args.folder / "books.sqlite")
        signer = Signer(args.folder)
        delivery = Delivery(books, signer, args.target, args.webhook_id, args.base)
        return cls(args, books, signer, delivery)

    def issue_token(self) -> str:
        """As PayPal's: opaque, good for nine hours."""
        token = f"A21AA{secrets.token_urlsafe(40)}"
        self.tokens[token] = time.time() + TOKEN_S
        return token

    def knows_token(self, token: str) -> bool:
        """Whether it is good now."""
        return self.tokens.get(token, 0) > time.time()
