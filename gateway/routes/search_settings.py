"""Routes for admins: synonyms and merchandising rules of the search."""

from typing import Annotated

from fastapi import APIRouter, Body

from gateway.deps import Admin, ClientAddressDep, StudioDep
from studio.search.merchandising import (
    RulesForm,
    SynonymsForm,
    read_rules,
    read_synonyms,
    write_settings,
)

router = APIRouter(prefix="/api/admin/search", tags=["admin"])

SYNONYMS = {"synonyms": [["sneaker", "trainer"], ["jumper", "sweater", "pullover"]]}
RULES = {
    "rules": [
        {
            "query": "red dress",
            "pin": ["demo-dress-red-plain-1"],
            "hide": ["demo-dress-red-striped-2"],
            "until": "2030-01-01T00:00:00Z",
        }
    ]
}


@router.get("/synonyms")
async def list_synonyms(_: Admin, studio: StudioDep) -> SynonymsForm:
    """Returns the shop's own groups of words that mean the same."""
    return await read_synonyms(studio.database)


@router.put("/synonyms")
async def replace_synonyms(
    form: Annotated[SynonymsForm, Body(examples=[SYNONYMS])],
    admin: Admin,
    studio: StudioDep,
    ip: ClientAddressDep,
) -> SynonymsForm:
    """Replaces the groups; searches follow them within two seconds."""
    await write_settings(studio, form, actor_id=admin.id, ip=ip)
    return form


@router.get("/rules")
async def list_rules(_: Admin, studio: StudioDep) -> RulesForm:
    """Returns the rules that pin, bury and hide products."""
    return await read_rules(studio.database)


@router.put("/rules")
async def replace_rules(
    form: Annotated[RulesForm, Body(examples=[RULES])],
    admin: Admin,
    studio: StudioDep,
    ip: ClientAddressDep,
) -> RulesForm:
    """Replaces the rules; searches follow them within two seconds."""
    await write_settings(studio, form, actor_id=admin.id, ip=ip)
    return form
