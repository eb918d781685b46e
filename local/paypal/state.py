"""The state of a running simulator: store, scripted faults, outbox and access tokens."""

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from local.paypal.delivery import Delivery
from local.paypal.faults import Script
from local.paypal.signing import Signer
from local.paypal.store import SimulatorStore

TOKEN_S = 32_400


@dataclass(frozen=True)
class SimulatorArgs:
    """The arguments of a simulator; with an empty `target` it sends no events."""

    folder: Path
    base: str
    client_id: str
    client_secret: str
    webhook_id: str
    target: str = ""


@dataclass
class State:
    """Everything that the routes use."""

    args: SimulatorArgs
    store: SimulatorStore
    signer: Signer
    delivery: Delivery
    script: Script = field(default_factory=Script)
    tokens: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, args: SimulatorArgs) -> "State":
        """Opens the folder; only the tokens of former runs are lost."""
        args.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = SimulatorStore(args.folder / "books.sqlite")
        signer = Signer(args.folder)
        delivery = Delivery(store, signer, args.target, args.webhook_id, args.base)
        return cls(args, store, signer, delivery)

    def issue_token(self) -> str:
        """Issues an opaque token that is valid for nine hours, as PayPal does."""
        token = f"A21AA{secrets.token_urlsafe(40)}"
        self.tokens[token] = time.time() + TOKEN_S
        return token

    def knows_token(self, token: str) -> bool:
        """Whether the token is valid now."""
        return self.tokens.get(token, 0) > time.time()
