"""The same files are pinned and loaded, whichever of two precisions a repository stores."""

from pathlib import Path

import pytest

from errors import SetupError
from models.checkpoints.adapter import AdapterName
from models.checkpoints.variants import find_variant, select_weights
from settings import PRODUCTION_TRYON_ADAPTER

UNET, TEXT = "unet/diffusion_pytorch_model", "text_encoder/model"
TWICE = [
    "model_index.json", "unet/config.json", f"{UNET}.safetensors", f"{UNET}.fp16.safetensors",
    f"{UNET}.safetensors.index.json", f"{UNET}.safetensors.index.fp16.json",
    f"{UNET}.fp16-00001-of-00002.safetensors", f"{UNET}-00001-of-00002.safetensors",
    f"{UNET}.non_ema.safetensors", "vae/config.json", "vae/x.safetensors",
    f"{TEXT}.fp16.safetensors", "unet/flax_model.msgpack", "tokenizer/merges.txt",
]  # fmt: skip


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_one_precision_of_each_part_is_read(precision: str, tmp_path: Path) -> None:
    selection = select_weights(TWICE, precision)
    unet = {file for file in selection if file.startswith("unet/")} - {"unet/config.json"}
    assert len(unet) == 3  # the weights, in one file and in parts, and the index of the parts
    assert all(("fp16" in file) == (precision != "fp32") for file in unet)
    assert {"model_index.json", "vae/x.safetensors", "tokenizer/merges.txt"} <= {*selection}
    assert f"{TEXT}.fp16.safetensors" in selection  # it has no other
    for files, variant in ((TWICE, "fp16"), (selection, "fp16"), (["vae/x.safetensors"], None)):
        folder = tmp_path / f"{len(files)}"
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        assert find_variant(folder, precision) == variant
    assert find_variant("owner/name", precision) is None


def test_full_weights_are_read_where_a_repository_has_no_others() -> None:
    files = ["unet/config.json", f"{UNET}.safetensors"]
    assert select_weights(files, "fp16") == select_weights(files, "fp32") == files


def test_an_adapter_names_its_encoder() -> None:
    plain = AdapterName.parse("h94/IP-Adapter:sdxl_models:ip-adapter_sdxl.safetensors")
    assert plain.paths == (
        "sdxl_models/ip-adapter_sdxl.safetensors", "sdxl_models/image_encoder/",
    )  # fmt: skip
    other = AdapterName.parse("hf-hub:h94/IP-Adapter:sdxl_models:plus.safetensors:models/encoder")
    assert (other.repository, other.local_folder) == ("h94/IP-Adapter", None)
    assert other.paths == ("sdxl_models/plus.safetensors", "models/encoder/")
    production = AdapterName.parse(PRODUCTION_TRYON_ADAPTER)
    assert production.paths == (
        "sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors", "models/image_encoder/",
    )  # fmt: skip
    local = AdapterName.parse("local-dir:/models/adapter:sdxl_models:a.safetensors")
    assert local.local_folder == Path("/models/adapter")
    for name in ("h94/IP-Adapter", "a/b:c", "a/b:c:", "a:b:c:d:e"):
        with pytest.raises(SetupError, match="repository:folder:file"):
            AdapterName.parse(name)
