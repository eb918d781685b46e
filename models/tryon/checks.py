"""Checks of a try-on's pictures; their errors say which picture they are about."""

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from errors import Invalid, StudioError
from models.tryon.shapes import GarmentPicture

LEAST_PERSON, LEAST_GARMENT = 64, 32
"""The least side of a picture, in pixels."""


@contextmanager
def errors_about(subject: str) -> Iterator[None]:
    """Gives a subject to the errors of the block."""
    try:
        yield
    except StudioError as error:
        error.about(subject)
        raise


def check_person(person: Image.Image) -> None:
    """Checks the size of the person's picture.

    Raises:
        Invalid: about the person: the picture is too small.
    """
    if min(person.size) < LEAST_PERSON:
        raise Invalid(f"the picture's sides must have at least {LEAST_PERSON} pixels").about(
            "person"
        )


def check_garment(garment: GarmentPicture) -> None:
    """Checks the size of the garment's picture, and its mask.

    Raises:
        Invalid: about the garment: the picture is too small; about the mask: it is empty, or of
            another size than the garment.
    """
    if min(garment.image.size) < LEAST_GARMENT:
        raise Invalid(f"the picture's sides must have at least {LEAST_GARMENT} pixels").about(
            "garment"
        )
    height, width = garment.mask.shape
    check_mask_size((width, height), garment.image.size)
    if not garment.mask.any():
        raise Invalid("the mask is empty").about("mask")


def check_mask_size(mask_size: tuple[int, int], garment_size: tuple[int, int]) -> None:
    """Checks that mask and garment have the same size; both are (width, height).

    Raises:
        Invalid: about the mask: its size is not the garment's.
    """
    if mask_size != garment_size:
        raise Invalid(
            f"the mask has {mask_size[0]} x {mask_size[1]} pixels, "
            f"the garment {garment_size[0]} x {garment_size[1]}"
        ).about("mask")
