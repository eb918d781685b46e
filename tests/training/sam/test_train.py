"""SAM's recipe: prompts like the Segmenter's, and a tiny network that is trained on them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from PIL import Image

from drawing.people.people import draw_people
from models.segmenter.atr import PERSON
from models.segmenter.sam import Prompt, SamConfig, load
from models.segmenter.sam_checkpoint import SamArchitecture, build
from training.photos.photos import split_of
from training.photos.street import SUIT, Source
from training.sam import train as sam
from training.sam.prompts import (
    GROUPS,
    PromptLayout,
    TargetGroups,
    TargetMasks,
    as_mask_input,
    corrupt,
    make_prompts,
)
from training.sam.trainer import REFINING, USER_LAYOUTS, SamTrainer, decode, encode, true_iou
from training.sam.validation import report
from training.sam.views import Views
from training.trainer import Schedule

TINY = SamArchitecture(
    image_size=64, patch=8, width=32, depth=2, heads=2, global_layers=(1,), window=4,
    prompt_width=32, decoder_mlp=32, decoder_heads=2, iou_hidden=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def people() -> Source:
    return draw_people(6, 64, 46, 5)


@pytest.fixture
def targets(people: Source) -> TargetMasks:
    torch.manual_seed(0)
    view = Views({"people": people}, 64, "cpu").whole("people", range(6))
    assert view.inner == (64, 46) and view.pictures.shape == (6, 3, 64, 64)
    assert not view.pictures[..., 46:].any()
    return TargetGroups("cpu").choose(view.codes, view.inner, 4)


def test_every_layout_makes_prompts_of_the_mask(targets: TargetMasks) -> None:
    height, width = targets.inner
    for layout in (REFINING, *(layout for layout, _ in USER_LAYOUTS)):
        prompts = make_prompts(targets, layout)
        count = layout.inside + layout.outside + (2 if layout.box else 1)
        assert prompts.points.shape == (24, count, 2) == (*prompts.labels.shape, 2)
        assert (prompts.points[..., 0] <= width).all() and (prompts.points[..., 1] <= height).all()
        assert (prompts.mask_input is not None) == layout.mask_input
        for mask, points, labels in zip(
            targets.masks[:, 0], prompts.points, prompts.labels, strict=True
        ):
            for (x, y), label in zip(points.int().tolist(), labels.tolist(), strict=True):
                if label in (0, 1):  # a click is at most a pixel off
                    near = mask[max(0, y - 1) : y + 3, max(0, x - 1) : x + 3]
                    assert (near == label).any()


def test_a_corrupted_mask_is_near_the_truth_and_not_the_truth(targets: TargetMasks) -> None:
    ious = true_iou(corrupt(targets.masks, targets.inner) - 0.5, targets.masks, targets.counts)
    assert 0.5 < ious.median() < 0.99 and ious.std() > 0.02
    mask_input = as_mask_input(targets.masks, targets.inner)
    assert mask_input.shape == (24, 1, 32, 32) and mask_input.min() == -8 and mask_input.max() == 8


def test_what_a_label_leaves_open_counts_for_nothing() -> None:
    codes = torch.zeros(1, 64, 64, dtype=torch.long)
    codes[:, 10:50, 10:30], codes[:, 10:14, 30:34] = 4, SUIT
    targets = TargetGroups("cpu").choose(codes, (64, 64), 40)
    areas = {(int(mask.sum()), int(counts.sum())) for mask, counts in
             zip(targets.masks, targets.counts, strict=True)}  # fmt: skip
    assert areas == {(800, 64 * 64 - 16), (816, 64 * 64)}  # upper clothes; person and clothes
    assert targets.clear.all() and PERSON in GROUPS
    assert not TargetGroups("cpu").choose(torch.zeros_like(codes), (64, 64), 2).clear.any()


@pytest.mark.parametrize("layout", [REFINING, PromptLayout(inside=1), PromptLayout(1, 1, box=True)])
def test_many_prompts_at_once_give_what_the_studio_gets(
    targets: TargetMasks, layout: PromptLayout, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    network = build(TINY).eval()
    sam.save(network, tmp_path, TINY)
    model = load(SamConfig(str(tmp_path)))
    network.load_state_dict(model._network.state_dict())  # as stored
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    square, _ = model.preprocess(picture)
    prompts = make_prompts(targets, layout)
    with torch.inference_mode():
        planes = network.image_encoder(torch.from_numpy(square)[None])
        logits, ious = decode(network, planes, prompts)
    at, size = 3, np.array([64, 64])
    points, labels = prompts.points[at].numpy(), prompts.labels[at].tolist()
    clicks = [index for index, label in enumerate(labels) if label in (0, 1)]
    box = points[-2:].reshape(4) / np.tile(size, 2) if layout.box else None
    encoder = network.prompt_encoder
    with torch.inference_mode():
        sparse, dense = encoder(
            points=(prompts.points[at : at + 1, clicks], prompts.labels[at : at + 1, clicks])
            if clicks else None,
            boxes=prompts.points[at : at + 1, -2:].reshape(1, 4) if layout.box else None,
            masks=prompts.mask_input[at : at + 1] if prompts.mask_input is not None else None,
        )  # fmt: skip
        alone, _ = network.mask_decoder.predict_masks(planes, encoder.get_dense_pe(), sparse, dense)
    assert torch.allclose(logits[at], alone[0], atol=1e-4)
    if not layout.mask_input:
        prompt = Prompt(tuple(map(tuple, points[clicks] / size)), tuple(labels[i] for i in clicks),
                        tuple(box) if box is not None else None)  # fmt: skip
        cut = model.decode(model.encode(square, (64, 64)), [prompt])[0]
        assert min(abs(ious[at].numpy() - cut.iou)) < 1e-4


def test_a_tiny_sam_learns(people: Source) -> None:
    torch.manual_seed(0)
    views = Views({"people": people, "validation": people}, 64, "cpu")
    schedule = Schedule(minutes=60, learning_rate=2e-3, warm_up=1e-4)
    trainer = SamTrainer(sam.start(TINY), views, schedule, {"people": 6}, 4, seed=0)
    first = trainer.step()
    assert set(first) == {"refine", "refine iou", "ask", "ask iou"}
    later = [trainer.step()["refine"] for _ in range(40)]
    assert torch.stack(later[-5:]).mean() < 0.8 * first["refine"]
    assert "validation refine: IoU" in report(trainer.network.eval(), views, "validation")


def test_views_stay_true_to_the_codes(people: Source) -> None:
    pixels, codes = people
    painted = np.where(codes[..., None] > 0, 250, 5).astype(np.uint8).repeat(3, -1)
    view = Views({"people": (painted, codes)}, 64, "cpu").draw({"people": 6}, default_rng(3))
    height, width = view.inner
    grey = view.pictures.mean(1)[:, :height, :width]
    worn = view.codes[:, :height, :width] > 0
    assert grey[worn].mean() > grey[~worn].mean() + 1
    assert len(encode(build(TINY), view.pictures)) == len(pixels)


def test_the_recipe_runs_and_writes_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = tmp_path / "street"
    for folder in ("photos", "parse"):
        (street / folder).mkdir(parents=True)
    (street / "labels.txt").write_text("null\nskin\nshirt\n")
    codes = np.zeros((60, 40), np.uint8)
    codes[10:20, 15:25], codes[20:50, 10:30] = 1, 2
    files = {split_of(str(number)): str(number) for number in range(60)}
    for split in ("train", "validation"):
        Image.fromarray(codes * 90).convert("RGB").save(street / f"photos/{files[split]}.jpg")
        Image.fromarray(codes).save(street / f"parse/{files[split]}.png")
    monkeypatch.setattr(sam, "ARCHITECTURE", TINY)
    command = f"sam --street {street} --out {tmp_path}/out --work {tmp_path}/work --drawings 3"
    monkeypatch.setattr(sys, "argv", [*command.split(), "--minutes", "0.005", "--batch", "4"])
    sam.main()
    load(SamConfig(str(tmp_path / "out"))).check()
