"""The clusters of a history: shop All in one, all bonus servers in the other.

Shop All goes back as a whole cluster (files, a replica that has lagged, a dump into a fresh one),
or, faster, as a database of the same cluster. Bonus servers are copied and put back as databases.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import make_dsn

from tests.chaos.instance import Instance, as_postgres
from tests.databases import close_kept, initialise_shop_all, keep, migrate_bonus_server, query

SHOP = "shop_all"
BLANK = "blank"  # a bonus server's database as its vendor delivers it

# What the vendor's tables refuse: accounts of classes that the table `refuses` has, and negative
# amounts of the class `n`. What lands is noted: PIN codes in the order in which they come.
VENDOR = """
    create table refuses (class text);
    create table pin_history (id bigint generated always as identity, account text, pincode text);
    create table filled (changeset uuid, "row" bigint);  -- by the vendor, not by us
    -- By the machine: where the counting began of a position's name, see `Days.sample`.
    create table counted_from (
        kind text primary key, server text, began_at text, rows bigint, amount numeric);
    create function refuse() returns trigger language plpgsql as $$ begin
        if split_part(new.account, '-', 1) in (select class from refuses) then
            raise exception 'the vendor refuses it' using errcode = '23514';
        end if;
        return new;
    end $$;
    create trigger refuse before insert or update on asset
        for each row execute function refuse();
    create trigger refuse before insert or update on pincode
        for each row execute function refuse();
    alter table asset add constraint no_debts
        check (split_part(account, '-', 1) <> 'n' or amount > 0);
    create function note_pin() returns trigger language plpgsql as $$ begin
        insert into pin_history (account, pincode) values (new.account, new.pincode);
        return null;
    end $$;
    create trigger note after insert or update on pincode
        for each row execute function note_pin();
"""


@dataclass(frozen=True)
class Copy:
    """A state of shop All: `how` it was copied, and where that is (a folder, or a database)."""

    how: str  # files | dump | database
    place: str


class Clusters:
    def __init__(self, home: Path) -> None:
        home.chmod(0o755)  # PostgreSQL does not run as root
        self.home = home
        self.shop_cluster = Instance(home / "shop")
        self.bonus_cluster = Instance(home / "bonus")
        self.shop_cluster.create(SHOP)
        self.shop_cluster.stop()
        self.shop_cluster.copy_to(home / "blank")  # a fresh cluster, for dumps
        self.shop_cluster.start()
        initialise_shop_all(self.shop)
        query(self.shop, "checkpoint")
        self.shop_cluster.stop()
        self.shop_cluster.copy_to(home / "new")
        self.bonus_cluster.create(BLANK)
        migrate_bonus_server(self.dsn(BLANK))
        query(self.dsn(BLANK), VENDOR)
        self.copies = 0

    @property
    def shop(self) -> str:
        return self.shop_cluster.dsn(SHOP)

    def dsn(self, server: str) -> str:
        """The DSN of a bonus server's database."""
        return make_dsn(self.bonus_cluster.dsn(server))

    def begin(self) -> None:
        """Makes everything as new: shop All initialised and empty, no bonus server."""
        shutil.rmtree(self.home / "copies", ignore_errors=True)
        (self.home / "copies").mkdir()
        self.copies = 0
        self._put_back(self.home / "new")
        for (name,) in query(
            self.bonus_cluster.dsn(), "select datname from pg_database where datname ~ '^[sc][0-9]'"
        ):
            self._drop(self.bonus_cluster, name)

    def close(self) -> None:
        close_kept(self.shop)
        self.shop_cluster.crash()
        self.bonus_cluster.crash()

    # Shop All

    def copy_shop(self, how: str) -> Copy:
        self.copies += 1
        place = self.home / "copies" / str(self.copies)
        if how == "dump":
            place.write_bytes(as_postgres("pg_dump", "-Fc", "-d", self.shop).stdout)
            return Copy(how, str(place))
        if how == "database":
            self._copy_database(self.shop_cluster, SHOP, f"c{self.copies}")
            return Copy(how, f"c{self.copies}")
        self.shop_cluster.copy_to(place)
        return Copy(how, str(place))

    def restore_shop(self, copy: Copy, *, lags: bool = False) -> None:
        """Puts shop All back; with `lags` a copy of files comes as a replica that is promoted."""
        close_kept(self.shop)
        if copy.how == "database":
            self._copy_database(self.shop_cluster, copy.place, SHOP)
        elif copy.how == "dump":
            self._put_back(self.home / "blank")
            as_postgres("pg_restore", "-d", self.shop, copy.place)
        else:
            self._put_back(Path(copy.place), lags=lags)
        keep(self.shop)

    def crash_shop(self) -> None:
        """The power fails, and comes back."""
        close_kept(self.shop)
        self.shop_cluster.crash()
        self.shop_cluster.start()
        keep(self.shop)

    def archive_shop(self) -> None:
        """From now on shop All can go back to a point in time."""
        close_kept(self.shop)
        self.shop_cluster.archive()
        keep(self.shop)

    def recover_shop(self, point: str) -> None:
        """Put shop All back to a point in time, which `Instance.note_point` has named."""
        close_kept(self.shop)
        self.shop_cluster.recover_to(point)
        keep(self.shop)

    def upgrade_shop(self) -> None:
        close_kept(self.shop)
        self.shop_cluster.upgrade()
        keep(self.shop)

    def upgrade_bonus_servers(self) -> None:
        servers = [
            self.dsn(name)
            for (name,) in query(
                self.bonus_cluster.dsn(),
                "select datname from pg_database where datname ~ '^s[0-9]'",
            )
        ]
        for server in servers:
            close_kept(server)
        self.bonus_cluster.upgrade()
        keep(*servers)

    def _put_back(self, place: Path, *, lags: bool = False) -> None:
        close_kept(self.shop)
        self.shop_cluster.restore(place)
        if lags:
            self.shop_cluster.become_standby()
        self.shop_cluster.start()
        if lags:
            self.shop_cluster.promote()
        keep(self.shop)

    # Bonus servers

    def create_server(self, name: str, *refused: str) -> None:
        """A new bonus server's database, whose vendor refuses accounts of these classes."""
        self._copy_database(self.bonus_cluster, BLANK, name)
        query(self.dsn(name), "insert into refuses select unnest(%s::text[])", [[*refused]])

    def copy_server(self, source: str, target: str) -> None:
        self._copy_database(self.bonus_cluster, source, target)

    def _copy_database(self, cluster: Instance, source: str, target: str) -> None:
        self._drop(cluster, target)
        close_kept(cluster.dsn(source))
        query(
            cluster.dsn(),
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
            [source],
        )
        query(cluster.dsn(), f"create database {target} template {source} strategy file_copy")
        keep(*(cluster.dsn(name) for name in (source, target) if not name.startswith("c")))

    def _drop(self, cluster: Instance, name: str) -> None:
        close_kept(cluster.dsn(name))
        query(cluster.dsn(), f"drop database if exists {name} with (force)")
