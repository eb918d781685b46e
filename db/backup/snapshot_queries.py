"""Queries of backups: tables, columns, sequences, foreign keys, blob keys and connections."""

# ruff: noqa: S608 - names come from the server's catalogue, and are quoted

BLOB_PREFIXES = ("uploads", "masks", "tryon", "heatmaps", "products", "indexes", "regressors")
"""The first parts of the blob store's keys."""
_KEY = rf"^({'|'.join(BLOB_PREFIXES)})/[A-Za-z0-9._=/-]+$"

_OWN = "c.relnamespace = current_schema()::regnamespace"
COLUMNS = f"""
    SELECT c.relname AS owner, a.attname AS name, t.typname AS type
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        AND NOT a.attisdropped AND a.attgenerated = ''
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE {_OWN} AND c.relkind = 'r' AND c.relname <> 'alembic_version'
    ORDER BY c.relname, a.attnum
"""
SEQUENCES = """
    SELECT sequencename::text AS name, last_value AS last FROM pg_sequences
    WHERE schemaname = current_schema() AND last_value IS NOT NULL ORDER BY 1
"""
FOREIGN_KEYS = f"""
    SELECT c.oid::regclass::text AS owner, quote_ident(k.conname) AS name,
        pg_get_constraintdef(k.oid) AS definition
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE {_OWN} AND k.contype = 'f' AND k.conparentid = 0
"""
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'studio' AND pid <> pg_backend_pid()
"""
"""Connections of a running studio; `db.engine` gives them this name."""


VERSIONS = """
    SELECT 'indexes/' || version || '/' AS prefix FROM index_version
    WHERE status IN ('ready', 'active', 'retired')
    UNION ALL SELECT 'regressors/' || version || '/' FROM regressor_version
"""


def quoted(name: str) -> str:
    """An identifier, quoted for SQL."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def text_keys(table: str, column: str) -> str:
    """A query for the blob keys in a text column."""
    return f"SELECT {column} AS key FROM {table} WHERE {column} ~ '{_KEY}'"


def json_keys(table: str, column: str) -> str:
    """A query for the blob keys anywhere in a jsonb column."""
    path = f'strict $.** ? (@.type() == "string" && @ like_regex "{_KEY}")'
    keys = f"jsonb_path_query({column}, '{path}') AS json_key"
    return f"SELECT json_key #>> '{{}}' AS key FROM {table}, {keys}"
