"""Binds the next models beside those in service, and routes each call to one of the two.

A next model is deployed only where a setting names one: `EmbedderNext`, `SegmenterNext` and
`TryOnNext` are the same classes with another configuration.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from db.model_rollouts import EMBEDDER
from deployments.embedder import Embedder, EmbedderArgs
from deployments.handles import (
    EMBEDDER_NEXT,
    SEGMENTER_NEXT,
    TRYON_NEXT,
    EmbedderHandle,
    NextHandles,
    SegmenterHandle,
    TryOnHandle,
)
from deployments.profile import (
    next_embedder_config,
    next_segmenter_configs,
    next_tryon_config,
)
from deployments.segmenter import Segmenter, SegmenterArgs
from deployments.serve.calls import Handle, HandleArgs
from deployments.serve.replica import bind
from deployments.tryon import TryOn, TryOnArgs
from settings import Settings
from studio.ports import Studio
from studio.rollout.embedders import EmbedderPair
from studio.rollout.pairs import SEGMENTER, TRYON, SegmenterPair, TryOnPair
from studio.rollout.watch import Probe, RolloutWatch

ONE_REPLICA: dict[str, Any] = {
    "max_ongoing_requests": 64,
    "ray_actor_options": {"num_cpus": 0.1},
}


class NextOptions(BaseModel):
    """Serve's options of the next models; the `deployments` of the YAML can't name them, because
    Serve refuses a config of a deployment that does not exist.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedder: Mapping[str, Any] = ONE_REPLICA
    segmenter: Mapping[str, Any] = ONE_REPLICA
    tryon: Mapping[str, Any] = ONE_REPLICA


def bind_next(
    settings: Settings,
    options: NextOptions,
    index: Handle,
    embedder: EmbedderArgs,
    segmenter: SegmenterArgs,
    tryon: TryOnArgs,
    **shared: Any,
) -> NextHandles:
    """Binds the next models that the settings name, with the capacity of those in service."""
    handles: dict[str, Handle] = {}
    if (next_embedder := next_embedder_config(settings)) is not None:
        own = {"name": EMBEDDER_NEXT, **shared, **options.embedder}
        handles["embedder"] = bind(Embedder, next_embedder, embedder, index, **own)
    if (next_segmenter := next_segmenter_configs(settings)) is not None:
        own = {"name": SEGMENTER_NEXT, **shared, **options.segmenter}
        handles["segmenter"] = bind(Segmenter, *next_segmenter, segmenter, **own)
    if (next_tryon := next_tryon_config(settings)) is not None:
        own = {"name": TRYON_NEXT, **shared, **options.tryon}
        handles["tryon"] = bind(TryOn, next_tryon, tryon, **own)
    return NextHandles(**handles)


def with_next_models(studio: Studio, handles: NextHandles, args: HandleArgs | None) -> Studio:
    """The studio with each model that is rolled out as a pair of the present and the next one."""
    probes: dict[str, Probe] = {}
    watch = RolloutWatch(studio.database, probes)
    if handles.embedder is not None:
        embedder = EmbedderHandle(handles.embedder, args, EMBEDDER_NEXT)
        probes[EMBEDDER] = embedder.version
        studio = replace(studio, embedder=EmbedderPair(studio.embedder, embedder, watch))
    if handles.segmenter is not None:
        segmenter = SegmenterHandle(handles.segmenter, SEGMENTER_NEXT)
        probes[SEGMENTER] = segmenter.version
        studio = replace(studio, segmenter=SegmenterPair(studio.segmenter, segmenter, watch))
    if handles.tryon is not None:
        tryon = TryOnHandle(handles.tryon, TRYON_NEXT)
        probes[TRYON] = tryon.version
        studio = replace(studio, tryon=TryOnPair(studio.tryon, tryon, watch))
    return studio
