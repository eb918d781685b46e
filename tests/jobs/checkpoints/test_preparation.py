"""`studio models` on one machine: fetched from a hub over HTTP, then verified without it."""

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from errors import SetupError
from jobs.checkpoints.preparation import (
    ModelConfig,
    fetch_checkpoints,
    hub_checkpoints,
    run_once,
    verify_checkpoints,
)
from models.checkpoints.hub import pins_of
from models.checkpoints.pins import Pin, Pinning, read_lock, write_lock
from models.embedder.embedder import EmbedderConfig
from models.segmenter import sam_checkpoint
from models.segmenter.parser import ParserConfig
from models.segmenter.sam import SamConfig
from models.tryon.inpaint import PainterConfig, load_painter
from models.tryon.loading import TryOnConfig
from tests.models.segmenter.test_schp import FILE, write_schp
from tests.support.hub import Hub
from tests.support.published import (
    TINY_SAM,
    TOKENIZER,
    files_of,
    push_adapter,
    push_sam,
    push_sdxl,
    push_siglip,
)

SAM_FILE = "checkpoints/sam_vit_b_01.pth"
PARSER = f"hf-hub:shop/parser/schp/{FILE}"
SDXL, ADAPTER = "hf-hub:shop/painter", "shop/adapter:sdxl_models:ip-adapter_sdxl.safetensors"


def configs_with(pinning: Pinning) -> list[ModelConfig]:
    """A profile in half precision, all of it from the hub."""
    parser = ParserConfig(PARSER, "bf16", pinning=pinning, allow_noncommercial=True)
    painter = PainterConfig(SDXL, ADAPTER, "bf16", side=64, pinning=pinning)
    return [
        EmbedderConfig("hf-hub:shop/siglip", "bf16", pinning=pinning, allow_noncommercial=True),
        parser,
        SamConfig(f"hf-hub:shop/sam/{SAM_FILE}", pinning=pinning, allow_noncommercial=True),
        TryOnConfig(parser, painter, allow_noncommercial=True),
    ]


def write_pins(configs: list[ModelConfig], path: Path) -> None:
    """What `studio models lock` writes."""
    pins: dict[str, Pin] = {}
    for each in hub_checkpoints(configs):
        pins.update(pins_of(each.name, each.model, each.precision))
    write_lock(path, pins)


# Slow: every network of a profile is fetched and loaded.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_everything_is_fetched_and_then_starts_without_a_hub(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sam_checkpoint.PUBLISHED, "vit_b", TINY_SAM)
    push_siglip(hub, "shop/siglip")
    hub.push("shop/parser", files_of(lambda folder: write_schp(folder / "schp" / FILE)))
    push_sam(hub, "shop/sam", SAM_FILE)
    push_sdxl(hub, "shop/painter")
    push_adapter(hub, "shop/adapter")
    pinning = Pinning(tmp_path / "models.lock", required=True)
    configs = configs_with(pinning)
    with pytest.raises(SetupError, match="studio models lock"):
        list(fetch_checkpoints(configs))
    write_pins(configs, tmp_path / "models.lock")
    lines = list(fetch_checkpoints(configs))
    names = ["shop/siglip", TOKENIZER, f"shop/parser/schp/{FILE}", f"shop/sam/{SAM_FILE}",
             "shop/painter", ADAPTER]  # fmt: skip
    assert [line.partition(" at ")[0] for line in lines] == names == list_names(pinning)
    weights = [path for path in hub.downloads if path.endswith(".safetensors")]
    assert "shop/painter/unet/diffusion_pytorch_model.fp16.safetensors" in weights
    assert "shop/painter/unet/diffusion_pytorch_model.safetensors" not in weights
    assert "shop/adapter/sdxl_models/image_encoder/model.safetensors" in weights
    assert len(weights) == len({*weights}) == 7
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    painter = configs[-1].painter if isinstance(configs[-1], TryOnConfig) else None
    assert painter is not None and load_painter(painter).version.startswith("painter-")
    composite = TryOnConfig(ParserConfig())
    verified = list(verify_checkpoints([*configs[:3], composite]))
    assert all(line.startswith("ok   ") for line in verified) and len(verified) == 4 + 4
    assert verified[:4] == [line for line in verified if line.endswith("as in models.lock")]


def list_names(pinning: Pinning) -> list[str]:
    """The names in the lock, in the order in which this test's models need them."""
    order = ("siglip", "timm", "parser", "sam", "painter", "adapter")
    names = read_lock(pinning.lock)
    return sorted(
        names, key=lambda name: next(at for at, word in enumerate(order) if word in name.lower())
    )


@pytest.fixture
def sam(hub: Hub, tmp_path: Path) -> SamConfig:
    """A pinned file of a hub; it is not fetched yet."""
    hub.push("shop/sam", {SAM_FILE: b"0123456789" * 1000})
    config = SamConfig(
        f"hf-hub:shop/sam/{SAM_FILE}", pinning=Pinning(tmp_path / "models.lock", required=True)
    )
    write_pins([config], tmp_path / "models.lock")
    return config


def find_files(cache: Path) -> list[Path]:
    """The files that a loader could find; downloads that have not ended are none."""
    return list((cache / "models--shop--sam" / "snapshots").rglob("*.pth"))


def test_an_interrupted_download_leaves_nothing_and_is_repeated(
    hub: Hub, sam: SamConfig, tmp_path: Path
) -> None:
    path = f"shop/sam/{SAM_FILE}"
    hub.weak.add(path)
    with pytest.raises(SetupError, match=r"shop/sam at .* can't be fetched: .*503"):
        list(fetch_checkpoints([sam]))
    assert hub.downloads == [path] and find_files(tmp_path / "cache") == []
    with pytest.raises(SetupError, match="not on this machine: run `studio models fetch`"):
        list(verify_checkpoints([sam]))
    hub.weak.clear()
    (line,) = fetch_checkpoints([sam])
    assert "0.0 MB" in line and hub.downloads[-1] == path
    assert [file.read_bytes() for file in find_files(tmp_path / "cache")] == [b"0123456789" * 1000]


def test_other_bytes_for_a_pinned_revision_are_refused_until_the_hub_is_right(
    hub: Hub, sam: SamConfig
) -> None:
    (revision,) = hub.repositories["shop/sam"]
    hub.repositories["shop/sam"][revision] = {SAM_FILE: b"9876543210" * 1000}
    for _ in range(2):
        with pytest.raises(SetupError, match="is not the file that is pinned"):
            list(fetch_checkpoints([sam]))
    hub.repositories["shop/sam"][revision] = {SAM_FILE: b"0123456789" * 1000}
    assert len(list(fetch_checkpoints([sam]))) == 1


def test_a_damaged_file_is_named_and_downloaded_again(
    hub: Hub, sam: SamConfig, tmp_path: Path
) -> None:
    list(fetch_checkpoints([sam]))
    (file,) = find_files(tmp_path / "cache")
    file.resolve().write_bytes(b"damaged")
    with pytest.raises(SetupError, match=f"{file} is not the file that is pinned"):
        list(verify_checkpoints([sam]))
    list(fetch_checkpoints([sam]))
    assert file.read_bytes() == b"0123456789" * 1000


def test_failures_of_the_hub_are_plain(
    hub: Hub, sam: SamConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SetupError, match=r"shop/none can't be looked up: .*this repository"):
        list(pins_of("hf-hub:shop/none/a.pth", "sam", "fp32"))
    pins = read_lock(tmp_path / "models.lock")
    write_lock(tmp_path / "models.lock", {name: replace(pin, revision="0" * 40)
                                          for name, pin in pins.items()})  # fmt: skip
    with pytest.raises(SetupError, match="the hub does not have this revision"):
        list(fetch_checkpoints([sam]))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SetupError, match="HF_HUB_OFFLINE=1 forbids downloads"):
        list(fetch_checkpoints([sam]))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(SetupError, match="shop/sam can't be looked up: ConnectError"):
        list(pins_of(sam.checkpoint, "sam", "fp32"))


def test_what_is_on_this_machine_is_not_fetched(tmp_path: Path) -> None:
    parser = ParserConfig()
    adapter = f"local-dir:{tmp_path}:sdxl_models:a.safetensors"
    configs: list[ModelConfig] = [
        EmbedderConfig(), EmbedderConfig(f"local-dir:{tmp_path}"), parser, SamConfig("starter"),
        TryOnConfig(parser), TryOnConfig(parser, PainterConfig(str(tmp_path), adapter)),
    ]  # fmt: skip
    assert hub_checkpoints(configs) == [] == list(fetch_checkpoints(configs))
    twice = [TryOnConfig(parser, PainterConfig("a/b")), TryOnConfig(parser, PainterConfig("a/b"))]
    assert [each.name for each in hub_checkpoints(twice)] == ["a/b"]


def test_a_model_that_does_not_work_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=f"the checkpoint local-dir:{tmp_path} does not work"):
        run_once(ParserConfig(f"local-dir:{tmp_path}"))
