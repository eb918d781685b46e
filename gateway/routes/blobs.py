"""Routes of the local blob store, which its signed URLs point to."""

import re
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from errors import Malformed, NotAnImage, NotFound, TooLarge
from gateway.arrivals import in_large_chunks
from gateway.body_limit import declared_bytes
from gateway.deps import ArrivalsDep, Public, StudioDep
from integrations.blobs.keys import content_type_of
from integrations.blobs.lifetimes import ARRIVAL_S
from integrations.blobs.local import LocalBlobStore

router = APIRouter(prefix="/blobs", tags=["blobs"], include_in_schema=False)

RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")


async def get_local_store(studio: StudioDep) -> LocalBlobStore:
    """The local blob store.

    Raises:
        NotFound: the studio uses another blob store.
    """
    if not isinstance(studio.blobs, LocalBlobStore):
        raise NotFound("no such path")
    return studio.blobs


LocalStoreDep = Annotated[LocalBlobStore, Depends(get_local_store)]


@router.put("/{key:path}", status_code=201, dependencies=[Public])
async def put_blob(
    key: str, request: Request, store: LocalStoreDep, arrivals: ArrivalsDep
) -> Response:
    """Stores one new blob, as the signed URL allows."""
    grant = store.signer.verify("put", key, request.query_params)
    if request.headers.get("content-type", "") != grant.content_type:
        raise NotAnImage(f"the Content-Type must be {grant.content_type}, as presigned")
    if (declared_bytes(request.scope) or 0) > grant.max_bytes:
        raise TooLarge(f"at most {grant.max_bytes} bytes may be uploaded here")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Malformed("upload the bytes as they are, without Content-Encoding")
    chunks = in_large_chunks(request.stream())
    until_s = grant.expires_at_s + ARRIVAL_S
    async with arrivals.place(key):
        await store.put_new(key, chunks, grant.max_bytes, until_s=until_s)
    return Response(status_code=201)


@router.api_route("/{key:path}", methods=["GET", "HEAD"], dependencies=[Public])
async def get_blob(key: str, request: Request, store: LocalStoreDep) -> Response:
    """Returns a blob; its content never changes, so browsers may cache it."""
    grant = store.signer.verify("get", key, request.query_params)
    path = store.path_of(key)
    try:
        status = await anyio.to_thread.run_sync(path.stat)
    except OSError:
        raise NotFound("no such blob") from None
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    headers = {
        "ETag": etag,
        "Cache-Control": f"private, max-age={max(0, grant.seconds_left)}, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if etag in (part.strip() for part in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    check_range(request, status.st_size)
    return FileResponse(path, headers=headers, media_type=content_type_of(key), stat_result=status)


def check_range(request: Request, size: int) -> None:
    """Removes a range header that is malformed, which RFC 9110 allows to ignore.

    Raises:
        HTTPException: the range starts after the end of the blob (416).
    """
    text = request.headers.get("range")
    if text is None:
        return
    match = RANGE.fullmatch(text)
    first, last = match.groups() if match else (None, None)
    if (first is None and last is None) or (first and last and int(first) > int(last)):
        headers = request.scope["headers"]
        request.scope["headers"] = [item for item in headers if item[0] != b"range"]
    elif (first is not None and int(first) >= size) or (first is None and int(last or 0) == 0):
        raise HTTPException(
            416,
            "the range starts after the end of the blob",
            headers={"Content-Range": f"bytes */{size}"},
        )
