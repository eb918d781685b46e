"""Queries over the admins' settings of the search: synonyms and merchandising rules."""

from typing import Any, Literal

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SearchSetting

SettingName = Literal["synonyms", "rules"]


async def get_search_setting(session: AsyncSession, name: SettingName) -> dict[str, Any]:
    """The document of a setting; {} if it was never written."""
    setting = await session.get(SearchSetting, name)
    return {} if setting is None else setting.document


async def put_search_setting(
    session: AsyncSession, name: SettingName, document: dict[str, Any]
) -> None:
    """Replaces the document of a setting and raises its revision."""
    statement = insert(SearchSetting).values(name=name, document=document, revision=1)
    statement = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={
            "document": document,
            "revision": SearchSetting.revision + 1,
            "changed_at": func.now(),
        },
    )
    await session.exec(statement)


async def list_setting_revisions(session: AsyncSession) -> dict[str, int]:
    """Name -> revision of the settings that have been written."""
    rows = await session.exec(select(SearchSetting.name, SearchSetting.revision))
    return dict(rows.all())
