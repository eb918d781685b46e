"""The Serve application `studio`: its deployments, and which of them call which."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from ray.serve import Application

from deployments.dispatcher import Dispatcher, DispatcherConfig
from deployments.embedder import Embedder, EmbedderArgs
from deployments.gateway import Gateway
from deployments.handles import Handles
from deployments.index import Index, IndexArgs
from deployments.profile import (
    embedder_config,
    next_embedder_config,
    parser_config,
    sam_config,
    tryon_config,
)
from deployments.regressor import Regressor, RegressorArgs
from deployments.rollout import NextOptions, bind_next
from deployments.segmenter import Segmenter, SegmenterArgs
from deployments.serve.calls import HandleArgs
from deployments.serve.preflight import require_closed_cluster, require_schema
from deployments.serve.replica import bind
from deployments.tryon import TryOn, TryOnArgs
from settings import load_settings

MODEL: dict[str, Any] = {"max_constructor_retry_count": 3}
ONE_AT_A_TIME: dict[str, Any] = {"max_surge_percent": 0}
"""An update stops a replica before it starts the new one: two Gateways would need a node's port,
and a Dispatcher that drains its jobs would run them beside those of its successor.
"""


class StudioArgs(BaseModel):
    """`args:` of the application in serve_config.yaml; the numbers of single deployments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: HandleArgs = HandleArgs()
    embedder: EmbedderArgs = EmbedderArgs()
    index: IndexArgs = IndexArgs()
    regressor: RegressorArgs = RegressorArgs()
    dispatcher: DispatcherConfig = DispatcherConfig()
    segmenter: SegmenterArgs = SegmenterArgs()
    tryon: TryOnArgs = TryOnArgs()
    next: NextOptions = NextOptions()


def build(args: StudioArgs) -> Application:
    """Binds the graph. Nothing secret is bound: every replica reads `STUDIO_*` by itself.

    Raises:
        SetupError: a setting is wrong, the cluster is open, or the schema is not up to date.
    """
    settings = load_settings()
    require_closed_cluster(settings)
    require_schema(settings)
    index = bind(Index, args.index)
    embedder = embedder_config(settings)
    segmenter = parser_config(settings), sam_config(settings), args.segmenter
    jobs = args.dispatcher, embedder, index, next_embedder_config(settings)
    capacity = args.embedder, args.segmenter, args.tryon
    handles = Handles(
        embedder=bind(Embedder, embedder, args.embedder, index, **MODEL),
        index=index,
        regressor=bind(Regressor, args.regressor),
        dispatcher=bind(Dispatcher, *jobs, **ONE_AT_A_TIME),
        segmenter=bind(Segmenter, *segmenter, **MODEL),
        tryon=bind(TryOn, tryon_config(settings), args.tryon, **MODEL),
        next=bind_next(settings, args.next, index, *capacity, **MODEL),
    )
    gateway: Application = bind(Gateway, args.gateway, handles, **ONE_AT_A_TIME)
    return gateway
