"""A device that is named and missing is an error; "auto" takes what is there."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import xgboost

from db.embeddings import MissingVectors
from errors import SetupError, Unavailable
from jobs.bulk_embedding import BulkEmbeddingArgs, EmbedPictures
from models import devices
from models.devices import (
    CONTEXT_BYTES,
    gpu_memory,
    granted_device,
    select_boosting_device,
    select_device,
    torch_type,
)
from models.embedder import embedder
from models.embedder.embedder import EmbedderConfig
from models.sales.files import read_starter
from models.sales.regressor import RegressorConfig
from models.segmenter import parser, sam
from models.segmenter.parser import ParserConfig
from models.segmenter.sam import SamConfig
from models.tryon.inpaint import PainterConfig, load_painter
from studio.sales.train import CONFIG


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many GPUs torch, xgboost and the driver find."""

    def have(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(devices, "count_gpus", lambda: count)
        monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": count > 0})

    have(0)
    return have


def test_auto_takes_a_gpu_where_there_is_one(gpus: Any) -> None:
    assert (select_device("auto"), select_boosting_device("auto")) == ("cpu", "cpu")
    gpus(2)
    assert (select_device("auto"), select_boosting_device("auto")) == ("cuda", "cuda")
    assert select_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1"])
def test_a_named_gpu_that_is_missing_is_an_error(gpus: Any, device: str) -> None:
    gpus(1 if device == "cuda:1" else 0)
    with pytest.raises(SetupError, match=f"{device}.*torch finds"):
        select_device(device)


def test_boosted_trees_on_a_gpu_that_is_missing_are_an_error(gpus: Any) -> None:
    with pytest.raises(SetupError, match="xgboost finds no GPU"):
        select_boosting_device("cuda")
    gpus(1)
    assert select_boosting_device("cuda") == "cuda"
    assert select_boosting_device("cpu") == "cpu"


class Card:
    total_memory = 10 * CONTEXT_BYTES


def test_a_share_of_a_gpu_is_a_share_of_its_memory(
    gpus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(1)
    limits: list[Any] = []
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Card())
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *limit: limits.append(limit)
    )
    assert [granted_device("auto", 0.0), granted_device("cpu", 0.4)] == ["auto", "cpu"]
    assert granted_device("auto", 1.0) == "cuda"
    assert not limits
    assert granted_device("auto", 0.4) == "cuda"
    assert limits == [(pytest.approx(0.3), 0)]
    with pytest.raises(SetupError, match=r"0\.05 of a GPU of 6 GiB has no room"):
        granted_device("auto", 0.05)


def test_threads_are_set_on_the_cpu_only(gpus: Any) -> None:
    threads = torch.get_num_threads()
    try:
        select_device("cpu", threads + 1)
        assert torch.get_num_threads() == threads + 1
        select_device("cpu")
        gpus(1)
        select_device("auto", threads)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_every_precision_has_its_type() -> None:
    types = [torch_type("fp32"), torch_type("fp16"), torch_type("bf16")]
    assert types == [torch.float32, torch.float16, torch.bfloat16]


LOADS: dict[str, Callable[[], object]] = {
    "embedder": lambda: embedder.load(replace(EmbedderConfig(), device="cuda")),
    "parser": lambda: parser.load(replace(ParserConfig(), device="cuda")),
    "sam": lambda: sam.load(replace(SamConfig(), device="cuda")),
    "painter": lambda: load_painter(PainterConfig("local-dir:/nowhere", device="cuda")),
    "regressor": lambda: read_starter(RegressorConfig(device="cuda")),
}


def test_a_job_leaves_a_gpu_alone_that_it_was_not_granted(gpus: Any) -> None:
    """Ray shows a node's GPUs to tasks and actors without a grant, too."""
    gpus(1)
    assert select_boosting_device(CONFIG.device) == "cpu"
    args = BulkEmbeddingArgs(model_gpus=0, niceness=0)
    stage = EmbedPictures(EmbedderConfig(), MissingVectors("another"), args)
    with pytest.raises(Unavailable, match="replaced by another one"):
        stage({"id": np.array(["a"])})


@pytest.mark.parametrize("model", LOADS)
def test_no_model_runs_on_the_cpu_instead_of_its_gpu(gpus: Any, model: str) -> None:
    with pytest.raises(SetupError, match="GPU"):
        LOADS[model]()


def test_gpu_memory_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_memory() == {}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 5)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 8)
    assert gpu_memory() == {"allocated": 5, "reserved": 8}
