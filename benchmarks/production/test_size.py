"""The benchmark of production's sizes, with tiny networks on the CPU."""

import time
from pathlib import Path

import pytest
import torch

from benchmarks.production import networks as production_networks
from benchmarks.production import size as production_size
from benchmarks.production import tryon as production_tryon
from benchmarks.production.networks import is_same, parser_row
from benchmarks.production.section_run import SectionRun
from training.published import networks as published_networks
from training.published import sdxl as published_sdxl
from training.published.random_weights import Weights

VECTORS = """
import numpy as np
def clip_like(count):
    random = np.random.default_rng(0)
    rows = random.standard_normal((count + 40, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:count], (np.arange(count) % 30).astype(np.int32), rows[-40:-20], rows[-20:]
"""
TEXT = {
    "hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2,
    "projection_dim": 32,
}  # fmt: skip
TINY = published_sdxl.Sdxl(
    unet={
        "sample_size": 32, "in_channels": 9, "out_channels": 4, "block_out_channels": (32, 64),
        "layers_per_block": 1, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "attention_head_dim": (2, 4),
        "use_linear_projection": True, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8, "transformer_layers_per_block": (1, 1),
        "projection_class_embeddings_input_dim": 80, "cross_attention_dim": 64,
    },
    vae={
        "block_out_channels": (32, 64), "latent_channels": 4,
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    },
    text=TEXT, text_2=TEXT,
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> SectionRun:
    torch.set_num_threads(1)
    (tmp_path / "vectors.py").write_text(VECTORS)
    return SectionRun(
        device="cpu", folder=tmp_path, out=tmp_path / "out.md", ends=time.perf_counter() + 300,
        precision="fp32", vectors=tmp_path / "vectors.py", counts=(3000,), adapter="vit-h",
    )  # fmt: skip


def rows(run: SectionRun) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in run.lines if line.startswith("| ")]


def test_the_scan_finds_the_true_ones_and_nothing_else(run: SectionRun) -> None:
    assert production_size.run_sections(run, ["index"]) == []
    filtered = [row for row in rows(run) if row[-1] == "0" and len(row) == 7]
    assert len(filtered) == 8
    assert all(float(row[2]) > 0.99 and float(row[4]) > 0.99 for row in filtered)
    assert run.out.read_text() == "\n".join(run.lines) + "\n"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_try_on_is_written_found_by_name_and_painted(
    run: SectionRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    eyes = TEXT | {"patch_size": 14, "image_size": 28, "projection_dim": 16}
    monkeypatch.setitem(published_sdxl.IMAGE_ENCODERS, "vit-h", eyes)
    production_tryon.measure_tryon(run, TINY)
    parts = {row[0]: row[2] for row in rows(run) if len(row) == 3 and row[2] in ("yes", "no")}
    assert parts.keys() == {"unet", "vae", "text_encoder", "text_encoder_2", "image_encoder"}
    assert set(parts.values()) == {"yes"}
    assert [row[0] for row in rows(run)[-2:]] == ["with adapter", "as loaded"]
    assert not (run.folder / "tryon").exists()


def test_a_parser_is_timed_by_its_folders_name(run: SectionRun, tmp_path: Path) -> None:
    sizes = {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "decoder_hidden_size": 16,
             "num_attention_heads": [1, 1, 2, 2]}  # fmt: skip
    folder = tmp_path / "segformer"
    written = published_networks.write_segformer(folder, Weights(torch.float32), sizes, 32)
    assert parser_row(run, folder, "tiny", written, (1, 2)).split(" | ")[3] == "yes"
    assert is_same(written, 2 * written).startswith("no")


def test_a_broken_section_does_not_end_the_others(
    run: SectionRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_run: SectionRun) -> None:
        raise RuntimeError("no such network")

    monkeypatch.setattr(production_networks, "measure_sam", breaks)
    monkeypatch.setattr(production_networks, "measure_parser", lambda run: run.say("ran"))
    assert production_size.run_sections(run, ["sam", "parser"]) == ["sam"]
    assert "Broke: `RuntimeError: no such network`" in run.lines
    assert "ran" in run.lines
    run.ends = time.perf_counter()
    production_size.run_sections(run, ["parser"])
    assert run.lines[-1].startswith("Skipped")
