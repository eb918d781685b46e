"""The production checkpoint's architecture at full size, random weights, through the same code."""

import json
from pathlib import Path

import numpy as np
import pytest

from drawing.draw import Garment, draw_garment
from models.checkpoints.weights import write_tensors
from models.embedder.embedder import Embedder, EmbedderConfig, _describe_tokenizer, load

TEXTS = ["red striped dress", "", "Ein rotes Kleid", "dress " * 300]


def write_tokenizer(folder: Path) -> None:
    """A small Unigram tokenizer of T5's kind, trained on the spot, as transformers saves it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
        show_progress=False,
    )  # fmt: skip
    words = ["red striped dress", "navy shorts", "a photo of a skirt", "black leather bag"]
    tokenizer.train_from_iterator(words * 20, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>", unk_token="<unk>"
    ).save_pretrained(str(folder))


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    import open_clip
    import torch

    folder = tmp_path_factory.mktemp("fashion") / "siglip"
    folder.mkdir()
    architecture = open_clip.get_model_config("ViT-B-16-SigLIP")
    preprocessing = {
        "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash",
    }  # fmt: skip
    torch.manual_seed(0)
    write_tensors(
        folder / "open_clip_model.safetensors",
        open_clip.create_model("ViT-B-16-SigLIP").state_dict(),
    )
    config = {"model_cfg": architecture, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    write_tokenizer(folder)
    return load(EmbedderConfig(checkpoint=f"local-dir:{folder}", max_batch=2))


def test_vectors_are_those_of_the_published_size(embedder: Embedder) -> None:
    assert embedder.dim == 768
    assert embedder.version.startswith("openclip-")
    texts = embedder.embed_texts(TEXTS)
    assert texts.shape == (4, 768)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1.0, atol=1e-5)
    embedder.check()


def test_a_batch_equals_its_members_alone(embedder: Embedder) -> None:
    pixels = [
        embedder.preprocess(draw_garment(Garment("dress", colour)))
        for colour in ("red", "navy", "pink")
    ]
    assert pixels[0].shape == (3, 224, 224)
    alone = np.concatenate([embedder.embed_images([each]) for each in pixels])
    assert np.abs(embedder.embed_images(pixels) - alone).max() < 1e-4
    words = np.concatenate([embedder.embed_texts([text]) for text in TEXTS])
    assert np.abs(embedder.embed_texts(TEXTS) - words).max() < 1e-4


def test_a_tokenizer_that_is_only_written_differently_changes_no_version(tmp_path: Path) -> None:
    """Releases of transformers save one tokenizer as different files; the tokens count."""
    from open_clip.tokenizer import HFTokenizer

    write_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    original = json.loads(path.read_text())

    def describe(**changes: object) -> list[object]:
        path.write_text(json.dumps(original | changes))
        return _describe_tokenizer(HFTokenizer(str(tmp_path), context_length=16))

    plain = describe()
    assert describe(decoder=None, padding=None) == plain
    assert describe(normalizer={"type": "Lowercase"}) != plain
    pieces = original["model"]["vocab"]
    swapped = [*pieces[:3], pieces[4], pieces[3], *pieces[5:]]
    assert describe(model=original["model"] | {"vocab": swapped}) != plain
