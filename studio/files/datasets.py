"""Finds the blob of an uploaded dataset."""

from uuid import UUID

from db.files import get_file
from errors import Conflict, Invalid, NotFound
from studio.ports import Studio


async def dataset_key(studio: Studio, owner_id: UUID, file_id: UUID) -> str:
    """The blob key of an uploaded dataset.

    Raises:
        NotFound: there is no such file, or it belongs to another account.
        Conflict: the upload is not completed.
        Invalid: the file is not a dataset.
    """
    async with studio.database.transaction() as session:
        file = await get_file(session, file_id)
    if file is None or file.owner_id != owner_id:
        raise NotFound("no such file")
    if file.purpose != "dataset":
        raise Invalid("the file's purpose is not dataset")
    if file.status != "ready":
        raise Conflict("the upload is not completed: POST /api/files/{fileId}/complete")
    return file.blob_key


async def csv_key(studio: Studio, owner_id: UUID, file_id: UUID) -> str:
    """The blob key of an uploaded sales CSV.

    Raises:
        Invalid: the dataset is not a CSV file. NotFound, Conflict: see `dataset_key`.
    """
    key = await dataset_key(studio, owner_id, file_id)
    if not key.endswith(".csv"):
        raise Invalid("sales are read from CSV files")
    return key
