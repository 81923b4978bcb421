"""Our columns of the staging tables. Their defaults give each row its name; writers do nothing."""

# Column → how it is created. `id` is only made where the table has no column of that name. It tells
# rows of one transaction apart, so it may have gaps: sessions take 32 numbers at a time, which
# saves writers about a twentieth.
OURS = {
    "id": "bigint generated always as identity (cache 32)",
    "line": "bigint",
    "xid": "xid8 not null default pg_current_xact_id()",
    "started": "timestamptz not null default now()",
    "staged_by": "text not null default session_user",
    "changes": "jsonb",
}
# Column → the types that it may have, as `format_type` writes them.
TYPES = {
    "id": frozenset({"bigint", "integer", "smallint"}),
    "line": frozenset({"bigint"}),
    "xid": frozenset({"xid8"}),
    "started": frozenset({"timestamp with time zone"}),
    "staged_by": frozenset({"text"}),
    "changes": frozenset({"jsonb"}),
}
NOT_NULL = ("id", "xid", "started", "staged_by")

# Defaults that writers rely on: column → the expression, as `pg_get_expr` writes it.
DEFAULTS = {
    "xid": "pg_current_xact_id()",
    "started": "now()",
    "staged_by": "SESSION_USER",
}
