"""Published embedders, parsers and SAMs at full size as files, with random weights."""

import json
from pathlib import Path
from typing import Any

import torch

from models.segmenter.atr import NAMES
from models.segmenter.sam_checkpoint import SamArchitecture, build
from training.published.random_weights import Weights, on_meta, sample_sum, save_transformers

Config = dict[str, Any]
SEGFORMERS: dict[str, Config] = {
    "B2": {"depths": [3, 4, 6, 3]},
    "B5": {"depths": [3, 6, 40, 3]},
}
SEGFORMER_WIDTHS: Config = {
    "hidden_sizes": [64, 128, 320, 512], "num_attention_heads": [1, 2, 5, 8],
    "decoder_hidden_size": 768,
}  # fmt: skip


def write_embedder(folder: Path, weights: Weights, architecture: str) -> None:
    """An open_clip checkpoint as in a hub's folder, with another tokenizer than SigLIP's own."""
    import open_clip
    from safetensors.torch import save_file

    network = open_clip.create_model(
        architecture, device="meta", load_weights=False, pretrained_text=False
    )
    save_file(weights.of(network.state_dict()), folder / "open_clip_model.safetensors")
    preprocessing = network.visual.preprocess_cfg
    config = {
        "model_cfg": open_clip.get_model_config(architecture),
        "preprocess_cfg": {
            key: preprocessing[key] for key in ("mean", "std", "interpolation", "resize_mode")
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    if "hf_tokenizer_name" in config["model_cfg"]["text_cfg"]:
        write_words(folder)


def write_words(folder: Path) -> None:
    """Writes a T5 tokenizer with few words, as transformers saves it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>"]
    words = [*special, "▁", *"abcdefghijklmnopqrstuvwxyz", "▁a", "▁photo", "▁of", "▁red", "▁dress"]
    tokenizer = Tokenizer(models.Unigram([(word, -float(len(words))) for word in words], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>", unk_token="<unk>"
    ).save_pretrained(str(folder))


def write_segformer(folder: Path, weights: Weights, sizes: Config, side: int) -> float:
    """Writes a SegFormer with ATR's classes in transformers' format; returns its sample sum."""
    from transformers import (
        SegformerConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )

    defaults: Config = {
        "num_labels": len(NAMES), "id2label": dict(enumerate(NAMES)),
        "label2id": {name: at for at, name in enumerate(NAMES)},
    }  # fmt: skip
    config = SegformerConfig(**(defaults | sizes))
    network = on_meta(lambda: SegformerForSemanticSegmentation(config))
    SegformerImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    return save_transformers(network, weights, folder)


def write_sam(file: Path, weights: Weights, architecture: SamArchitecture) -> float:
    """Writes segment-anything's `sam_vit_….pth`; returns its sample sum."""
    state = weights.of(on_meta(lambda: build(architecture)).state_dict())
    torch.save(state, file)
    return sample_sum(state)
