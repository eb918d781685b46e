"""The Serve application `studio`: which deployments there are and who holds whose handle."""

from pydantic import BaseModel, ConfigDict
from ray.serve import Application, deployment

from deployments.dispatcher import Dispatcher, DispatcherNumbers
from deployments.embedder import Embedder, EmbedderArgs
from deployments.gateway import Gateway
from deployments.handles import HandleArgs
from deployments.index import Index, IndexArgs
from deployments.regressor import Regressor, RegressorArgs
from deployments.segmenter import Segmenter, SegmenterArgs
from deployments.serve.preflight import require_closed_cluster, require_schema
from deployments.tryon import TryOn, TryOnArgs
from models.embedder.embedder import EmbedderConfig
from models.pins import Pinning
from models.segmenter.parser import ParserConfig
from models.segmenter.sam import SamConfig
from models.tryon.inpaint import PainterConfig
from models.tryon.loading import TryOnConfig
from settings import Settings, load_settings


class StudioArgs(BaseModel):
    """`args:` of the application in serve_config.yaml; the numbers of single deployments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: HandleArgs = HandleArgs()
    embedder: EmbedderArgs = EmbedderArgs()
    index: IndexArgs = IndexArgs()
    regressor: RegressorArgs = RegressorArgs()
    dispatcher: DispatcherNumbers = DispatcherNumbers()
    segmenter: SegmenterArgs = SegmenterArgs()
    tryon: TryOnArgs = TryOnArgs()


def build(args: StudioArgs) -> Application:
    """Reads `STUDIO_*` where it runs and binds the graph.

    Raises:
        SetupError: a setting is wrong, the cluster is open, or the schema is not up to date.
    """
    settings = load_settings()
    require_closed_cluster(settings)
    require_schema(settings)
    index = deployment(name="Index")(Index).bind(settings, args.index)
    embedder = deployment(name="Embedder", max_constructor_retry_count=3)(Embedder).bind(
        embedder_config(settings, args.embedder), args.embedder, index
    )
    regressor = deployment(name="Regressor")(Regressor).bind(settings, args.regressor)
    dispatcher = deployment(name="Dispatcher")(Dispatcher).bind(settings, args.dispatcher, index)
    segmenter = deployment(name="Segmenter", max_constructor_retry_count=3)(Segmenter).bind(
        settings, parser_config(settings, args.segmenter), sam_config(settings, args.segmenter),
        args.segmenter,
    )  # fmt: skip
    tryon = deployment(name="TryOn", max_constructor_retry_count=3)(TryOn).bind(
        settings, tryon_config(settings, args.tryon), args.tryon
    )
    gateway = deployment(name="Gateway")(Gateway)
    return gateway.bind(
        settings, args.gateway, embedder, index, regressor, dispatcher, segmenter, tryon
    )


def embedder_config(settings: Settings, args: EmbedderArgs) -> EmbedderConfig:
    """The checkpoint of the profile at this replica's capacity."""
    return EmbedderConfig(
        checkpoint=settings.embedder_checkpoint,
        precision=settings.embedder_precision,
        max_batch=args.max_batch,
        threads=args.threads,
        pinning=pinning(settings),
    )


def pinning(settings: Settings) -> Pinning:
    """The lock of published checkpoints, and whether they have to be in it."""
    return Pinning(settings.models_lock, settings.requires_pins)


def parser_config(settings: Settings, args: SegmenterArgs) -> ParserConfig:
    """The parser of the profile at this replica's capacity."""
    return ParserConfig(
        checkpoint=settings.parser_checkpoint,
        precision=settings.embedder_precision,
        max_batch=args.max_batch,
        threads=args.threads,
        allow_noncommercial=settings.allow_noncommercial,
        pinning=pinning(settings),
    )


def sam_config(settings: Settings, args: SegmenterArgs) -> SamConfig | None:
    """The SAM of the profile, or none."""
    if settings.sam_checkpoint == "off":
        return None
    return SamConfig(
        checkpoint=settings.sam_checkpoint,
        precision=settings.embedder_precision,
        threads=args.threads,
        pinning=pinning(settings),
    )


def tryon_config(settings: Settings, args: TryOnArgs) -> TryOnConfig:
    """The parser and painter of the profile at this replica's capacity."""
    precision = settings.embedder_precision
    return TryOnConfig(
        ParserConfig(
            checkpoint=settings.parser_checkpoint,
            precision=precision,
            max_batch=1,
            threads=args.threads,
            allow_noncommercial=settings.allow_noncommercial,
            pinning=pinning(settings),
        ),
        PainterConfig(
            settings.tryon_checkpoint,
            settings.tryon_adapter_checkpoint,
            precision,
            pinning=pinning(settings),
        ),
        allow_noncommercial=settings.allow_noncommercial,
    )
