"""SDXL inpainting at its published size through `load_painter`: one picture, then the denoiser."""

import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np
import torch

from benchmarks.production.networks import is_same, millions
from benchmarks.production.section_run import SectionRun
from models.tryon.composite import compose
from models.tryon.inpaint import Diffusion, PainterConfig, load_painter
from models.tryon.loading import square_shirt, stick_figure
from models.tryon.painter import Painting, Scene
from models.tryon.window import find_window
from training.published.random_weights import Weights, sample_sum
from training.published.sdxl import (
    ADAPTER_FILE,
    ADAPTER_FOLDER,
    IMAGE_ENCODERS,
    Sdxl,
    write_adapter,
    write_sdxl,
)

PAINT_STEPS, STEPS, BATCHES = 12, 20, (1, 2, 4, 8)
HEIGHT, WIDTH, SHRINK = 1024, 768, 8
COMPILE_LEAST_S, COMPILE_MOST_S, SPARE_S, AGAIN_S = 25.0, 120.0, 6.0, 5.0
LATENTS, TOKENS = 9, 77


class TookTooLong(BaseException):
    """The time that was set aside for a step is over; compilers go on after mere Exceptions."""


def measure_tryon(run: SectionRun, sizes: Sdxl | None = None) -> None:
    """Writes the folder, loads it by name, paints, and times the denoiser."""
    quiet()
    sizes = sizes or Sdxl()
    with run.fresh_folder("tryon") as folder:
        started = time.perf_counter()
        weights = Weights(torch.bfloat16, run.device)
        written = write_sdxl(folder / "model", weights, sizes)
        config = PainterConfig(
            f"local-dir:{folder / 'model'}", None, "bf16", run.device, 1024 if run.is_gpu else 64
        )
        if run.adapter != "none":
            encoder = IMAGE_ENCODERS[run.adapter]
            written |= write_adapter(folder / "adapter", weights, encoder, sizes.unet)
            named = f"{folder / 'adapter'}:{ADAPTER_FOLDER}:{ADAPTER_FILE}"
            config = replace(config, adapter=named)
        run.say(f"Written in {time.perf_counter() - started:.1f} s.\n")
        del weights
        painter = loaded(run, config, written)
        measure_painter(run, painter)


def quiet() -> None:
    """No bars of progress between the tables."""
    import diffusers
    import transformers

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    diffusers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()


def loaded(run: SectionRun, config: PainterConfig, written: dict[str, float]) -> Diffusion:
    """The painter of the folder; without the adapter where that one can't be loaded."""
    started = time.perf_counter()
    try:
        painter = load_painter(config)
    except Exception:
        if config.adapter is None:
            raise
        run.say("The adapter can't be loaded:\n", "```", traceback.format_exc(), "```")
        painter = load_painter(replace(config, adapter=None))
    run.sync()
    assert isinstance(painter, Diffusion)
    run.say(
        f"Loaded by name in {time.perf_counter() - started:.1f} s. Memory: {run.memory()}.\n",
        "| part | parameters | weights as written |",
        "| --- | --- | --- |",
    )
    if painter.config.adapter is not None:
        written["unet"] += written["adapter"]
    for name in written.keys() - {"adapter"}:
        part = getattr(painter._pipeline, name, None)
        if part is not None:
            same = is_same(written[name], sample_sum(part.state_dict()))
            run.say(f"| {name} | {millions(part)} | {same} |")
    return painter


def measure_painter(run: SectionRun, painter: Diffusion) -> None:
    """With the adapter first, where there is one; without it then; compiled at last."""
    run.say("", "| `Painter.paint` | painted | steps | seconds | again | the same picture |")
    run.say("| --- " * 6 + "|")
    with_adapter = painter.config.adapter is not None
    if with_adapter:
        run.say(paint_row(run, painter, "with adapter"))
        adapted = denoiser_row(run, painter._pipeline, "with adapter", 1)
        painter._pipeline.unload_ip_adapter()
        painter = Diffusion(replace(painter.config, adapter=None), painter._pipeline)
    run.say(paint_row(run, painter, "without adapter"))
    pixels = f"{HEIGHT} × {WIDTH}" if run.is_gpu else "64 × 64"
    run.say(
        f"\nThe denoiser alone, bf16, {pixels}, guidance on (each picture counts twice in the "
        f"network); {STEPS if run.is_gpu else 1} steps:\n",
        "| denoiser | batch | seconds | ms a step | seconds a picture | memory |",
        "| --- " * 6 + "|",
    )
    if with_adapter:
        run.say(adapted)
    for batch in BATCHES if run.is_gpu else (1,):
        run.say(denoiser_row(run, painter._pipeline, "as loaded", batch))
    if run.is_gpu:
        compiled_rows(run, painter._pipeline)


def paint_row(run: SectionRun, painter: Diffusion, name: str) -> str:
    """A person of rectangles is dressed twice; nothing outside the painted box may change."""
    person, labels = stick_figure()
    cloth, mask = square_shirt()
    composite = compose(person, labels, cloth, mask, "upper")
    window = find_window(composite.share > 0, painter.config.side)
    steps = PAINT_STEPS if run.is_gpu else 2
    scene = Scene(
        person, labels, cloth, mask, "upper", composite, 1, steps, on_step=lambda *_: None
    )
    pictures, spent, done = [], [], [""]
    for _ in range(2):
        run.sync()
        started = time.perf_counter()
        [painting] = painter.paint([scene])
        run.sync()
        spent.append(time.perf_counter() - started)
        assert isinstance(painting, Painting)
        pictures.append(painting.picture)
        done = list(painting.steps)
    outside = np.ones(person.shape[:2], bool)
    x0, y0, x1, y1 = (max(edge, 0) for edge in window.box)
    outside[y0:y1, x0:x1] = False
    if (pictures[0] != composite.picture)[outside].any():
        raise RuntimeError("the painter changed what is outside its box")
    if not (pictures[0] != composite.picture).any():
        raise RuntimeError("the painter changed nothing")
    same = "yes" if np.array_equal(pictures[0], pictures[1]) else "no"
    width, height = window.size
    return f"| {name} | {height} × {width} | {done[0]} | {spent[0]:.2f} | {spent[1]:.2f} | {same} |"


def denoiser_row(run: SectionRun, pipeline: Any, name: str, batch: int, call: Any = None) -> str:
    """All steps of a batch, once, after a step that warms up."""
    network = pipeline.unet if call is None else call  # a compiled one has no truth value
    inputs = denoiser_inputs(pipeline, batch, (HEIGHT, WIDTH) if run.is_gpu else (64, 64))
    steps = STEPS if run.is_gpu else 1

    def step(count: int) -> torch.Tensor:
        with torch.inference_mode():
            for _ in range(count):
                output: torch.Tensor = network(**inputs, return_dict=False)[0]
        return output

    if run.is_gpu:
        step(2)
    run.sync()
    started = time.perf_counter()
    output = step(steps)
    run.sync()
    spent = time.perf_counter() - started
    if not torch.isfinite(output).all():
        raise RuntimeError("the denoiser gave what is no number")
    return (
        f"| {name} | {batch} | {spent:.2f} | {1000 * spent / steps:.1f} | {spent / batch:.2f} "
        f"| {run.memory()} |"
    )


def denoiser_inputs(pipeline: Any, batch: int, size: tuple[int, int]) -> dict[str, Any]:
    """What the pipeline hands to the network in each step; guidance doubles the batch."""
    unet, count = pipeline.unet, 2 * batch
    like = {"device": unet.device, "dtype": unet.dtype}
    config = unet.config
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    more: dict[str, Any] = {
        "text_embeds": torch.randn(count, pooled, **like),
        "time_ids": torch.full((count, 6), 1024.0, **like),
    }
    if getattr(pipeline, "image_encoder", None) is not None:
        width = pipeline.image_encoder.config.projection_dim
        more["image_embeds"] = [torch.randn(count, 1, width, **like)]
    return {
        "sample": torch.randn(count, LATENTS, *(side // SHRINK for side in size), **like),
        "timestep": torch.tensor(500.0, device=unet.device),
        "encoder_hidden_states": torch.randn(count, TOKENS, config.cross_attention_dim, **like),
        "added_cond_kwargs": more,
    }


def compiled_rows(run: SectionRun, pipeline: Any) -> None:
    """Batch 1 with torch.compile's default mode: the repeated blocks, then the whole network."""
    unet = pipeline.unet

    def blocks() -> Any:
        unet.compile_repeated_blocks(dynamic=False)
        return unet

    def whole() -> Any:
        for module in unet.modules():
            module._compiled_call_impl = None  # what `blocks` set
        torch._dynamo.reset()
        return torch.compile(unet, dynamic=False)

    for name, ready in (("compiled, repeated blocks", blocks), ("compiled, whole", whole)):
        limit = min(COMPILE_MOST_S, run.left_s - SPARE_S)
        if limit < COMPILE_LEAST_S:
            run.say(f"| {name}: left out, {run.left_s:.0f} s were left | | | | | |")
            continue
        started = time.perf_counter()
        try:
            with bounded(limit):
                network = ready()
                with torch.inference_mode():
                    network(**denoiser_inputs(pipeline, 1, (HEIGHT, WIDTH)), return_dict=False)
                run.sync()
                label = f"{name} (first call {time.perf_counter() - started:.0f} s)"
                run.say(denoiser_row(run, pipeline, label, 1, network))
        except (Exception, TookTooLong) as error:
            spent = time.perf_counter() - started
            run.say(f"| {name}: none after {spent:.0f} s, {type(error).__name__} | | | | | |")
            traceback.print_exc()


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raises TookTooLong in the main thread when the time is over."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong(f"more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
