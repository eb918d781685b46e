"""Embedders, parsers and SAMs at their published sizes through the product's own loaders."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.production.section_run import SectionRun
from models.embedder import embedder
from models.segmenter import parser, sam
from models.segmenter.sam_checkpoint import PUBLISHED
from training.published.networks import (
    SEGFORMER_WIDTHS,
    SEGFORMERS,
    write_embedder,
    write_sam,
    write_segformer,
)
from training.published.random_weights import Weights, sample_sum

EMBEDDERS = {
    "marqo-fashionSigLIP": "ViT-B-16-SigLIP",
    "ViT-B-16": "ViT-B-16",
    "ViT-L-14": "ViT-L-14",
}
"""Checkpoint -> open_clip's architecture; production's default first."""
TEXT = "a photo of a red dress"
PROMPTS = 8


def measure_embedder(run: SectionRun) -> None:
    """Pictures that are preprocessed and texts that are not -> unit vectors on the CPU."""
    images, texts = ((1, 8, 64), (1, 64)) if run.is_gpu else ((1, 2), (1, 2))
    run.say(
        "| checkpoint's size | parameters | load s | "
        + "".join(f"images × {n}: ms | a second | " for n in images)
        + "".join(f"texts × {n}: ms | " for n in texts)
        + "memory |",
        "| --- " * (4 + 2 * len(images) + len(texts)) + "|",
    )
    weights = Weights(torch.float16, run.device)
    for name, architecture in EMBEDDERS.items():
        with run.fresh_folder("embedder") as folder:
            write_embedder(folder, weights, architecture)
            run.say(embedder_row(run, folder, f"{name} ({architecture})", images, texts))


def embedder_row(
    run: SectionRun, folder: Path, name: str, images: tuple[int, ...], texts: tuple[int, ...]
) -> str:
    """One checkpoint, by its folder's name."""
    started = time.perf_counter()
    config = embedder.EmbedderConfig(
        f"local-dir:{folder}", run.precision, run.device, max_batch=max(images)
    )
    loaded = embedder.load(config)
    load_s = time.perf_counter() - started
    loaded.check()
    picture = loaded.preprocess(Image.linear_gradient("L").convert("RGB"))
    cells = ""
    for count in images:
        pixels = [picture] * count
        spent = run.seconds(lambda pixels=pixels: loaded.embed_images(pixels))  # type: ignore[misc]
        cells += f"{1000 * spent:.2f} | {count / spent:,.1f} | "
    for count in texts:
        said = [TEXT] * count
        spent = run.seconds(lambda said=said: loaded.embed_texts(said))  # type: ignore[misc]
        cells += f"{1000 * spent:.2f} | "
    return f"| {name} | {millions(loaded._network)} | {load_s:.1f} | {cells}{run.memory()} |"


def measure_parser(run: SectionRun) -> None:
    """Preprocessed pictures -> probabilities, each averaged with its mirror image's, as served."""
    side, batches = (512, (1, 8)) if run.is_gpu else (128, (1, 2))
    run.say(
        f"Pictures of {side} × {side}. All: `Parser.probabilities`, mirror image and the way to "
        "the CPU included. Network: one pass alone.\n",
        "| SegFormer | parameters | load s | weights as written | "
        + "".join(f"× {n}: all ms | network ms | pictures/s | " for n in batches)
        + "memory |",
        "| --- " * (5 + 3 * len(batches)) + "|",
    )
    weights = Weights(torch.float32, run.device)
    for name, depths in SEGFORMERS.items():
        with run.fresh_folder("parser") as folder:
            written = write_segformer(folder, weights, SEGFORMER_WIDTHS | depths, side)
            run.say(parser_row(run, folder, name, written, batches))


def parser_row(
    run: SectionRun, folder: Path, name: str, written: float, batches: tuple[int, ...]
) -> str:
    """One checkpoint, by its folder's name."""
    started = time.perf_counter()
    config = parser.ParserConfig(
        f"local-dir:{folder}", run.precision, run.device, max_batch=max(batches)
    )
    loaded = parser.load(config)
    load_s = time.perf_counter() - started
    loaded.check()
    network, cells = loaded._network, ""
    first = next(network.parameters())
    for count in batches:
        pixels = [np.zeros((3, *loaded.size), np.float32)] * count
        batch = torch.zeros(count, 3, *loaded.size, device=first.device, dtype=first.dtype)

        def alone(batch: torch.Tensor = batch) -> None:
            with torch.inference_mode():
                network(pixel_values=batch)

        spent = run.seconds(lambda pixels=pixels: loaded.probabilities(pixels))  # type: ignore[misc]
        cells += f"{1000 * spent:.2f} | {1000 * run.seconds(alone):.2f} | {count / spent:,.1f} | "
    same = is_same(written, sample_sum(network.state_dict()))
    return f"| {name} | {millions(network)} | {load_s:.1f} | {same} | {cells}{run.memory()} |"


def measure_sam(run: SectionRun) -> None:
    """A picture is encoded once; each prompt is decoded by itself."""
    run.say(
        "Pictures of 1024 × 1024, which the published position embeddings fix.\n",
        "| SAM | parameters | load s | weights as written | encode ms | one prompt ms "
        f"| {PROMPTS} prompts ms | memory |",
        "| --- " * 8 + "|",
    )
    for name, file in (("vit_b", "sam_vit_b_01ec64.pth"), ("vit_h", "sam_vit_h_4b8939.pth")):
        with run.fresh_folder("sam") as folder:
            weights = Weights(torch.float32, run.device)
            written = write_sam(folder / file, weights, PUBLISHED[name])
            run.say(sam_row(run, folder / file, name, written))


def sam_row(run: SectionRun, file: Path, name: str, written: float) -> str:
    """One checkpoint, by its file's name."""
    started = time.perf_counter()
    loaded = sam.load(sam.SamConfig(str(file), run.precision, run.device))
    load_s = time.perf_counter() - started
    square, inner = loaded.preprocess(Image.linear_gradient("L").convert("RGB"))
    encoded: list[sam.ImageEmbedding] = []
    encode_s = run.seconds(lambda: encoded.append(loaded.encode(square, inner)))
    embedding = encoded[-1]
    prompt = sam.Prompt(box=(0.1, 0.1, 0.9, 0.9))
    cutout = loaded.decode(embedding, [prompt])[0]
    if not (np.isfinite(cutout.probability).all() and np.isfinite(cutout.iou)):
        raise RuntimeError(f"{name} gave a mask that is no number")
    times = [
        encode_s,
        run.seconds(lambda: loaded.decode(embedding, [prompt])),
        run.seconds(lambda: loaded.decode(embedding, [prompt] * PROMPTS)),
    ]
    same = is_same(written, sample_sum(loaded._network.state_dict()))
    cells = " | ".join(f"{1000 * spent:.2f}" for spent in times)
    return (
        f"| {name} | {millions(loaded._network)} | {load_s:.1f} | {same} | {cells} "
        f"| {run.memory()} |"
    )


def millions(network: Any) -> str:
    """A network's parameters, in words."""
    return f"{sum(each.numel() for each in network.parameters()) / 1e6:,.0f} M"


def is_same(written: float, loaded: float) -> str:
    """Whether the sample sums agree, as far as half precision lets them."""
    return "yes" if abs(written - loaded) <= 2e-3 * abs(written) else f"no: {written}, {loaded}"
