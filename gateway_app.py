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
    capacity = args.embedder, args.segmenter, args.tryon
    handles = Handles(
        embedder=bind(Embedder, embedder, args.embedder, index, **MODEL),
        index=index,
        regressor=bind(Regressor, args.regressor),
        dispatcher=bind(
            Dispatcher,
            args.dispatcher,
            embedder,
            index,
            next_embedder_config(settings),
            max_surge_percent=0,  # while one drains its jobs, its successor must not add to them
        ),  # fmt: skip
        segmenter=bind(Segmenter, *segmenter, **MODEL),
        tryon=bind(TryOn, tryon_config(settings), args.tryon, **MODEL),
        next=bind_next(settings, args.next, index, *capacity, **MODEL),
    )
    # Each Gateway listens on its node's port, so a second one can't start there before it stops.
    gateway: Application = bind(Gateway, args.gateway, handles, max_surge_percent=0)
    return gateway
