"""The functions of our triggers on staging tables, see `guards`. Writers run them."""

STAMP = """
begin
    if tg_op operator(pg_catalog.=) 'INSERT' then
        new.xid := pg_catalog.pg_current_xact_id();
    else
        new.xid := old.xid;
        new.id := old.id;
    end if;
    return new;
end
"""
NOTE_WRITER = """
begin
    insert into datatransfer.writer (origin) select origin from datatransfer.origin
        on conflict do nothing;
    return null;
end
"""
# Which transaction has changed the values of a row; what a writer says of it is overwritten.
NOTE_CHANGE = """
begin
    new.changed_xid := pg_catalog.pg_current_xact_id();
    return new;
end
"""
# Likewise after an update, if one of the columns differs that its arguments name; after an empty
# argument come those whose emptying is no change. A condition of the trigger would name columns,
# and PostgreSQL then refuses to change their types. Operators are qualified: the writer's
# search_path applies.
NOTE_CHANGED_VALUES = """
declare
    before pg_catalog.jsonb := pg_catalog.to_jsonb(old);
    after pg_catalog.jsonb := pg_catalog.to_jsonb(new);
    name pg_catalog.text;
    may_be_emptied pg_catalog.bool := false;
begin
    foreach name in array tg_argv loop
        if name operator(pg_catalog.=) '' then
            may_be_emptied := true;
        elsif may_be_emptied
              and coalesce(after operator(pg_catalog.->>) name, '') operator(pg_catalog.=) '' then
            continue;
        elsif (before operator(pg_catalog.->) name)
              operator(pg_catalog.<>) (after operator(pg_catalog.->) name) then
            new.changed_xid := pg_catalog.pg_current_xact_id();
        end if;
    end loop;
    return new;
end
"""
FUNCTIONS = {
    "stamp": STAMP,
    "note_writer": NOTE_WRITER,
    "note_change": NOTE_CHANGE,
    "note_changed_values": NOTE_CHANGED_VALUES,
}
CREATE_FUNCTIONS = "\n".join(
    f"create or replace function datatransfer.{name}() returns trigger language plpgsql as "
    f"$${body}$$;"
    for name, body in FUNCTIONS.items()
)
