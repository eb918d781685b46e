"""A regressor as files (JSON, arrays and XGBoost's own format) and their manifest."""

# ruff: noqa: PLC0415 - xgboost is imported with the first regressor, not with this module

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from models.checkpoints.weights import STARTER_FOLDER
from models.devices import select_boosting_device
from models.embedder.lexicon import Lexicon
from models.sales.columns import unit_rows
from models.sales.conformal import Correction
from models.sales.features import FeatureExtractor, SalesVocabulary, Sold
from models.sales.regressor import Novelty, Regressor, RegressorConfig
from models.sales.ridge import Ridge
from models.sales.score_scale import ScoreScale

MODEL, ARRAYS, TREES = "model.json", "arrays.npz", "trees.ubj"
NAMES = (MODEL, ARRAYS, TREES)
FORM = 1
ARRAY_OF = {"residual": "surprise"}
"""The name of an array in the file where it differs from the field of `Sold`."""
STARTER = "starter"

Files = dict[str, bytes]
Manifest = dict[str, dict[str, int | str]]
"""File name -> size in bytes and SHA-256 in hex."""


def write_regressor(regressor: Regressor) -> Files:
    """The files of a regressor: all of it except its name."""
    features = regressor.features
    model = {
        "form": FORM,
        "embedderVersion": regressor.embedder_version,
        "vocabulary": asdict(features.vocabulary),
        "correction": asdict(regressor.correction),
        "novelty": asdict(regressor.novelty),
        "scales": list(regressor.scale.percentile),
    }
    arrays: dict[str, Any] = {
        "prompts": features.lexicon.prompts.astype(np.float16),
        "centre": features.centre,
        "axes": features.axes,
        "scale": np.stack(list(regressor.scale.percentile.values())),
    }
    for field, array in vars(features.sold).items():
        arrays[f"sold_{ARRAY_OF.get(field, field)}"] = array
    arrays["sold_vectors"] = arrays["sold_vectors"].astype(np.float16)
    for name, ridge in (("level", features.level), ("loudness", features.log_error)):
        arrays[name] = np.append(ridge.weights, ridge.offset)
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    return {
        MODEL: json.dumps(model, sort_keys=True, indent=1).encode(),
        ARRAYS: packed.getvalue(),
        TREES: bytes(regressor.booster.save_raw("ubj")),
    }


def read_regressor(version: str, files: Mapping[str, bytes], config: RegressorConfig) -> Regressor:
    """The regressor of these files.

    Raises:
        ValueError: another version of the studio wrote them, or they don't fit together.
    """
    model: dict[str, Any] = json.loads(files[MODEL])
    if model.get("form") != FORM:
        raise ValueError(f"regressor {version} was written by another studio version")
    with np.load(io.BytesIO(files[ARRAYS]), allow_pickle=False) as packed:
        arrays = {name: packed[name] for name in packed.files}
    sold = {
        field.name: arrays[f"sold_{ARRAY_OF.get(field.name, field.name)}"] for field in fields(Sold)
    }
    sold["vectors"] = unit_rows(sold["vectors"])
    features = FeatureExtractor(
        SalesVocabulary(**model["vocabulary"]),
        Lexicon(unit_rows(arrays["prompts"])),
        arrays["centre"],
        arrays["axes"],
        Ridge(arrays["level"][:-1], float(arrays["level"][-1])),
        Ridge(arrays["loudness"][:-1], float(arrays["loudness"][-1])),
        Sold(**sold),
    )
    scale = ScoreScale(dict(zip(model["scales"], arrays["scale"], strict=True)))
    return Regressor(
        version, model["embedderVersion"], features, _read_trees(files[TREES], config),
        Correction(**model["correction"]), Novelty(**model["novelty"]), scale,
    )  # fmt: skip


def rounded(regressor: Regressor, config: RegressorConfig) -> Regressor:
    """The regressor as it is after writing and reading its files, with half-precision vectors."""
    return read_regressor(regressor.version, write_regressor(regressor), config)


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    """Size and checksum of every file."""
    return {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(files.items())
    }


def read_starter(config: RegressorConfig) -> Regressor:
    """The shipped regressor; its version is a hash of its files."""
    folder = STARTER_FOLDER / "regressor"
    files = {name: (folder / name).read_bytes() for name in NAMES}
    digest = hashlib.sha256(b"".join(files[name] for name in NAMES)).hexdigest()
    return read_regressor(f"{STARTER}-{digest[:12]}", files, config)


def _read_trees(data: bytes, config: RegressorConfig) -> Any:
    import xgboost

    booster = xgboost.Booster(model_file=bytearray(data))
    booster.set_param({"nthread": config.threads, "device": select_boosting_device(config.device)})
    return booster
