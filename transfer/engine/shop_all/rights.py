"""Rights on our tables in shop All."""

GRANT = """
do $$ declare account text; begin
    for account in select distinct pg_get_userbyid(grantee)
          from pg_class cross join aclexplode(relacl)
         where pg_class.oid = 'datatransfer.batch'::regclass and privilege_type = 'INSERT'
           and grantee <> 0
    loop
        execute format('grant select, insert, update, delete on {tables} to %I', account);
    end loop;
end $$;
"""


def grant_as_on_batches(*tables: str) -> str:
    """SQL: accounts that may write the log of batches may read and write these tables, too."""
    return GRANT.format(tables=", ".join(f"datatransfer.{table}" for table in tables))
