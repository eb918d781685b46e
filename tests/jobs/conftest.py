"""The same studio as in tests/studio: fake models on real servers."""

from tests.studio.conftest import studio

__all__ = ["studio"]
