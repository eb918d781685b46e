"""The models' configurations as the settings determine them."""

from deployments.profile import embedder_config, parser_config, sam_config, tryon_config
from settings import Settings


def test_consent_to_non_commercial_licences_reaches_every_model_that_asks() -> None:
    for is_allowed in (False, True):
        settings = Settings(sam="starter", allow_noncommercial=is_allowed)
        sam = sam_config(settings)
        assert sam is not None
        configs = (sam, parser_config(settings), tryon_config(settings))
        assert {config.allow_noncommercial for config in configs} == {is_allowed}


def test_a_rehearsal_on_cpus_reaches_every_network() -> None:
    for device in ("auto", "cpu"):
        settings = Settings(profile="production", device=device)
        sam, tryon = sam_config(settings), tryon_config(settings)
        assert sam is not None
        configs = (embedder_config(settings), parser_config(settings), sam)
        assert {one.device for one in (*configs, tryon.parser, tryon.painter)} == {device}
