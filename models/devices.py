"""The device, the threads and the numeric precision that a model runs with, for all models."""

# ruff: noqa: PLC0415 - torch is imported when a model is loaded; the names need no torch

import ctypes
import sys
from typing import TYPE_CHECKING, Literal

from errors import SetupError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "fp16", "bf16"]
CONTEXT_BYTES = 600 * 2**20
"""The GPU memory that CUDA and its libraries take in every process, before any tensor."""


def select_device(device: str, threads: int | None = None) -> str:
    """Torch's name of the device for a network.

    Args:
        device: "auto" for CUDA if torch finds a GPU, else the CPU; or the name of a device.
        threads: torch's threads within one operation; they are set only if the device is the CPU.

    Raises:
        SetupError: torch does not find the requested device.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda" if gpus else "cpu"
    kind, _, number = device.partition(":")
    if kind == "cuda" and int(number or 0) >= gpus:
        raise SetupError(
            f"the configuration requests {device}, but torch finds {gpus} GPUs: check the driver, "
            "CUDA_VISIBLE_DEVICES and that torch is built for CUDA, or grant the replica no GPU"
        )
    if device == "cpu" and threads is not None:
        torch.set_num_threads(threads)
    return device


def select_boosting_device(device: str) -> str:
    """XGBoost's name of the device for boosted trees: "cpu" or "cuda".

    Args:
        device: "auto" for CUDA if xgboost and the driver support it, else the CPU; or a name.

    Raises:
        SetupError: the device is "cuda", and xgboost or the driver lacks it.
    """
    import xgboost

    has_cuda = bool(xgboost.build_info().get("USE_CUDA")) and count_gpus() > 0
    if device == "auto":
        return "cuda" if has_cuda else "cpu"
    if device == "cuda" and not has_cuda:
        raise SetupError(
            "the configuration requests cuda for boosted trees, but xgboost finds no GPU: check "
            "the driver and CUDA_VISIBLE_DEVICES, or grant the replica no GPU"
        )
    return device


def granted_device(device: str, share: float) -> str:
    """The device for the networks of a process that was granted a share of a GPU.

    "cuda" with a share, so that loading a network fails where the GPU is missing; the process's
    memory on it is then limited to the share. Without a share, or if `device` is "cpu" (a rehearsal
    in which GPUs are only counted), it is `device`.

    Raises:
        SetupError: the share has no room for a model.
    """
    if share <= 0 or device == "cpu":
        return device
    limit_gpu_memory(share)
    return "cuda"


def limit_gpu_memory(share: float) -> None:
    """Limits torch's memory on the GPU to this process's share of the whole, from 0 to 1.

    Processes that share a GPU then run out of their own memory, not of each other's. The CUDA
    context, which torch does not count, is part of the share. Without a GPU nothing happens.

    Raises:
        SetupError: the share is smaller than the context alone.
    """
    import torch

    if share >= 1 or not torch.cuda.is_available():
        return
    total_bytes = torch.cuda.get_device_properties(0).total_memory
    fraction = share - CONTEXT_BYTES / total_bytes
    if fraction <= 0:
        raise SetupError(
            f"{share:g} of a GPU of {total_bytes / 2**30:.0f} GiB has no room for a model: "
            "grant the replica more (num_gpus in serve_config.yaml)"
        )
    torch.cuda.set_per_process_memory_fraction(fraction, 0)


def torch_type(precision: Precision) -> "torch.dtype":
    """Torch's type of a network's weights and inputs."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def gpu_memory() -> dict[str, int]:
    """The bytes of GPU memory that torch has `allocated` for tensors and `reserved` in this
    process; empty where it uses no GPU. Does not import torch.
    """
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return {}
    return {"allocated": cuda.memory_allocated(), "reserved": cuda.memory_reserved()}


def count_gpus() -> int:
    """How many GPUs this process may use, by CUDA's driver: importing torch would take 300 MB."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except OSError:
        return 0
    return count.value
