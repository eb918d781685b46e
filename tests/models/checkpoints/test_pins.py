"""Published checkpoints: pinned by revision and checksum, and refused where they aren't."""

import json
from pathlib import Path
from typing import Any

import pytest

from errors import SetupError
from models.checkpoints.hub import pins_of
from models.checkpoints.pins import Pin, Pinning, fetch, pinned_folder, read_lock, write_lock
from models.checkpoints.single_file import open_single_file
from models.checkpoints.weights import STARTER_FOLDER
from models.embedder.embedder import EmbedderConfig, load, load_reader
from models.segmenter.parser import ParserConfig
from models.segmenter.parser import load as load_parser
from models.segmenter.sam import SamConfig
from models.segmenter.sam_checkpoint import read_checkpoint
from models.tryon.inpaint import PainterConfig, load_painter
from tests.support.hub import Hub

EMBEDDER, PARSER = "shop/tiny-embedder", "shop/tiny-parser"


def lock(path: Path, *checkpoints: tuple[str, Any], precision: str = "fp32") -> Pinning:
    pins = (pin for name, model in checkpoints for pin in pins_of(name, model, precision))
    write_lock(path, dict(pins))
    return Pinning(path, required=True)


def test_a_pinned_checkpoint_stays_what_it_was(hub: Hub, tmp_path: Path) -> None:
    folder = STARTER_FOLDER / "embedder"
    first = hub.push_folder(EMBEDDER, folder)
    pinning = lock(tmp_path / "models.lock", (f"hf-hub:{EMBEDDER}", "embedder"))
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    config = json.loads(files["open_clip_config.json"])
    config["preprocess_cfg"]["mean"] = [0.1, 0.2, 0.3]
    hub.push(EMBEDDER, files | {"open_clip_config.json": json.dumps(config).encode()})
    pinned = EmbedderConfig(f"hf-hub:{EMBEDDER}", pinning=pinning, allow_noncommercial=True)
    assert read_lock(pinning.lock)[EMBEDDER].revision == first
    own = load(EmbedderConfig("starter")).version
    assert load(pinned).version.rpartition("-")[2] == own.rpartition("-")[2]
    assert load_reader(pinned).side == load_reader(EmbedderConfig("starter")).side
    downloads = len(hub.downloads)
    load_reader(pinned)
    assert len(hub.downloads) == downloads  # a second start needs no network


def test_a_parser_is_pinned_too(hub: Hub, tmp_path: Path) -> None:
    hub.push_folder(PARSER, STARTER_FOLDER / "parser")
    name = f"hf-hub:{PARSER}"
    pinning = lock(tmp_path / "models.lock", (name, "parser"))
    loaded = load_parser(ParserConfig(name, pinning=pinning, allow_noncommercial=True))
    own = load_parser(ParserConfig("starter")).version
    assert loaded.version.rpartition("-")[2] == own.rpartition("-")[2]


def test_what_is_not_pinned_is_refused_in_production(hub: Hub, tmp_path: Path) -> None:
    hub.push_folder(EMBEDDER, STARTER_FOLDER / "embedder")
    pinning = Pinning(tmp_path / "models.lock", required=True)
    hints = "studio models lock"
    with pytest.raises(SetupError, match=hints):
        load(EmbedderConfig(f"hf-hub:{EMBEDDER}", pinning=pinning, allow_noncommercial=True))
    with pytest.raises(SetupError, match=hints):
        load_reader(EmbedderConfig("ViT-B-16/laion2b_s34b_b88k", pinning=pinning))
    with pytest.raises(SetupError, match=hints):
        load_parser(ParserConfig("hf-hub:a/b", pinning=pinning, allow_noncommercial=True))
    sam = SamConfig("hf-hub:a/b/sam_vit_b.pth", pinning=pinning)
    with pytest.raises(SetupError, match=hints):
        read_checkpoint(sam.checkpoint, sam.pinning)
    for name in ("hf-hub:a/b", "a/b"):
        with pytest.raises(SetupError, match=hints):
            load_painter(PainterConfig(name, pinning=pinning))
    assert hub.downloads == []
    assert load(EmbedderConfig("starter", pinning=pinning)).version.startswith("starter")


def test_a_sam_of_the_hub_needs_the_path_of_its_file(tmp_path: Path) -> None:
    pinning = Pinning(tmp_path / "models.lock", required=True)
    for name in ("hf-hub:facebook/sam-vit-base", "hf-hub:a", "hf-hub:a/b/"):
        with pytest.raises(ValueError, match="owner/name/path/of"):
            read_checkpoint(name, pinning)


def test_a_file_that_was_changed_is_refused(hub: Hub, tmp_path: Path) -> None:
    """On this machine's disk, or by a hub that gives other bytes for the same revision."""
    file = "checkpoints/sam_vit_b_01.pth"
    revision = hub.push("shop/sam", {file: b"weights", "other.pth": b"x", "README.md": b"hello"})
    name = f"hf-hub:shop/sam/{file}"
    pinning = lock(tmp_path / "models.lock", (name, "sam"))
    with open_single_file(name, pinning, starter="sam", example=file) as path:
        assert path.read_bytes() == b"weights"
    assert "shop/sam/other.pth" not in hub.downloads
    pin = read_lock(pinning.lock)[f"shop/sam/{file}"]
    (fetch(pin) / file).resolve().write_bytes(b"weightz")
    with pytest.raises(SetupError, match="not the file that is pinned"):
        read_checkpoint(name, pinning)
    hub.push("shop/more", {file: b"original"})
    other = Pin("shop/more", [*hub.repositories["shop/more"]][-1], {file: pin.files[file]})
    with pytest.raises(SetupError, match="not the file that is pinned"):
        fetch(other)
    with pytest.raises(SetupError, match="has no gone"):
        fetch(Pin("shop/sam", revision, {"gone.pth": "0" * 64}))
    with pytest.raises(SetupError, match="can't be fetched"):
        fetch(Pin("shop/nobody", revision, {file: "0" * 64}))


def test_a_loader_gets_the_pinned_files_and_no_others(hub: Hub, tmp_path: Path) -> None:
    hub.push(
        "shop/painter",
        {
            "model_index.json": b"{}", "unet/config.json": b"{}", "unet/x.safetensors": b"w",
            "unet/x.fp16.safetensors": b"h", "unet/x.bin": b"pickle", "whole.safetensors": b"all",
            "README.md": b"", "vae/x.bin": b"only",
        },
    )  # fmt: skip
    hub.push(
        "h/adapter",
        {"sdxl/a.safetensors": b"a", "sdxl/b.bin": b"b", "sdxl/image_encoder/config.json": b"{}"},
    )
    pinning = lock(
        tmp_path / "models.lock",
        ("hf-hub:shop/painter", "tryon"),
        ("h/adapter:sdxl:a.safetensors", "tryon"),
    )
    with pinned_folder("shop/painter", pinning) as folder:
        assert folder is not None
        assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
            "model_index.json", "unet/config.json", "unet/x.safetensors", "vae/x.bin",
        }  # fmt: skip
    with pinned_folder("h/adapter:sdxl:a.safetensors", pinning) as folder:
        assert folder is not None and (folder / "sdxl/image_encoder/config.json").exists()
        assert not (folder / "sdxl/b.bin").exists()


def test_a_borrowed_tokenizer_is_pinned_with_its_embedder(hub: Hub, tmp_path: Path) -> None:
    config = {"model_cfg": {"text_cfg": {"hf_tokenizer_name": "shop/words"}}}
    hub.push("shop/e", {"open_clip_config.json": json.dumps(config).encode()})
    hub.push("shop/words", {"tokenizer.json": b"{}", "config.json": b"{}", "model.bin": b"w"})
    pinning = lock(tmp_path / "models.lock", ("hf-hub:shop/e", "embedder"))
    assert read_lock(pinning.lock)["shop/words"].files.keys() == {"tokenizer.json"}
    config = {"model_cfg": {"text_cfg": {"hf_model_name": "shop/tower"}}}
    hub.push("shop/e", {"open_clip_config.json": json.dumps(config).encode()})
    with pytest.raises(SetupError, match="can't be pinned"):
        lock(tmp_path / "models.lock", ("hf-hub:shop/e", "embedder"))


def test_a_damaged_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "models.lock"
    path.write_text('{"a": {"revision": 1}}')
    with pytest.raises(SetupError, match="damaged"):
        read_lock(path)
