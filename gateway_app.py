"""The Serve application `studio`: which deployments there are and who holds whose handle."""

from pydantic import BaseModel, ConfigDict
from ray.serve import Application, deployment

from deployments.dispatcher import Dispatcher, DispatcherNumbers
from deployments.embedder import Embedder, EmbedderArgs
from deployments.gateway import Gateway
from deployments.handles import HandleArgs
from deployments.index import Index, IndexArgs
from models.embedder import EmbedderConfig
from settings import Settings, load_settings


class StudioArgs(BaseModel):
    """`args:` of the application in serve_config.yaml; the numbers of single deployments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: HandleArgs = HandleArgs()
    embedder: EmbedderArgs = EmbedderArgs()
    index: IndexArgs = IndexArgs()
    dispatcher: DispatcherNumbers = DispatcherNumbers()


def build(args: StudioArgs) -> Application:
    """Reads `STUDIO_*` where it runs and binds the graph."""
    settings = load_settings()
    index = deployment(name="Index")(Index).bind(settings, args.index)
    embedder = deployment(name="Embedder", max_constructor_retry_count=3)(Embedder).bind(
        embedder_config(settings, args.embedder), args.embedder, index
    )
    dispatcher = deployment(name="Dispatcher")(Dispatcher).bind(settings, args.dispatcher, index)
    gateway = deployment(name="Gateway")(Gateway)
    return gateway.bind(settings, args.gateway, embedder, index, dispatcher)


def embedder_config(settings: Settings, args: EmbedderArgs) -> EmbedderConfig:
    """The checkpoint of the profile at this replica's capacity."""
    return EmbedderConfig(
        checkpoint=settings.embedder_checkpoint,
        precision=settings.embedder_precision,
        max_batch=args.max_batch,
        threads=args.threads,
    )
