"""SQLAlchemy 2 on psycopg 2 and 3: reflection, Core and ORM statements, inserts, the pool."""
import datetime
import decimal

from harness import expect, expect_equal
from pg_clients import driver, start


def engine_of(server, name, **options):
    alchemy = driver("sqlalchemy")
    driver(name)
    url = server.postgres_url.replace("postgresql://", f"postgresql+{name}://")
    return alchemy.create_engine(url, pool_pre_ping=True, **options)


def each_engine(test, **options):
    server = start(test)
    server.sql("CREATE TABLE cities (city VARCHAR, country VARCHAR, people BIGINT, PRIMARY KEY (city))")
    server.sql("INSERT INTO cities VALUES ('Lima', 'PE', 10000000), ('Oslo', 'NO', 700000)")
    server.sql("CREATE VIEW busy AS SELECT * FROM by_city WHERE trips > 1")
    for name in ("psycopg", "psycopg2"):
        engine = engine_of(server, name, **options)
        yield server, name, engine
        engine.dispose()


def test_sqlalchemy_reflects_what_there_is(test):
    """Tables, views of both kinds, columns with their types, keys, comments: by the inspector and into Tables."""
    alchemy = driver("sqlalchemy")
    for _, name, engine in each_engine(test):
        inspector = alchemy.inspect(engine)
        expect_equal(inspector.default_schema_name, "public", name)
        expect({"public", "millrace"} <= set(inspector.get_schema_names()), f"{inspector.get_schema_names()}")
        expect({"trips", "cities"} <= set(inspector.get_table_names()), f"{inspector.get_table_names()}")
        expect_equal(inspector.get_view_names(), ["busy"], name)
        expect_equal(inspector.get_materialized_view_names(), ["by_city"], name)
        columns = {column["name"]: column for column in inspector.get_columns("trips")}
        expect_equal([(key, str(column["type"])) for key, column in columns.items()],
                     [("at", "TIMESTAMP"), ("city", "TEXT"), ("n", "INTEGER")], name)
        expect_equal(inspector.get_pk_constraint("cities")["constrained_columns"], ["city"], name)
        expect_equal(inspector.get_pk_constraint("by_city")["constrained_columns"], ["city"], name)
        expect_equal(inspector.get_foreign_keys("trips"), [], name)
        expect_equal(inspector.get_check_constraints("cities"), [], name)
        inspector.get_indexes("cities")
        inspector.get_unique_constraints("cities")
        expect(inspector.get_table_comment("trips")["text"], "the comment of a stream")
        expect("FROM by_city" in inspector.get_view_definition("busy"), "the definition of a view")
        expect(inspector.has_table("trips") and not inspector.has_table("nothing"), name)
        everything = alchemy.MetaData()
        everything.reflect(engine, views=True)
        expect({"trips", "cities", "busy", "by_city"} <= set(everything.tables), f"{sorted(everything.tables)}")
        expect_equal([column.name for column in everything.tables["by_city"].primary_key], ["city"], "its key")


def test_sqlalchemy_selects_and_inserts(test):
    """Core and ORM: joins, CTEs, windows, expanding IN, executemany into a stream, rows by the piece, errors."""
    alchemy = driver("sqlalchemy")
    orm = driver("sqlalchemy.orm")
    for server, name, engine in each_engine(test):
        meta = alchemy.MetaData()
        trips, by_city, cities = (alchemy.Table(table, meta, autoload_with=engine) for table in ("trips", "by_city", "cities"))
        before = server.sql_rows("SELECT count(*) FROM trips")[0][0]
        func, select = alchemy.func, alchemy.select
        with engine.connect() as db:
            joined = (select(cities.c.country, by_city.c.trips).join(by_city, by_city.c.city == cities.c.city)
                      .where(by_city.c.city.in_(["Lima", "Oslo"])).order_by(alchemy.desc(by_city.c.trips)).limit(2))
            expect_equal([tuple(row) for row in db.execute(joined)], [("PE", 2), ("NO", 1)], f"{name}: a join")
            ranked = select(trips.c.city, func.row_number().over(partition_by=trips.c.city, order_by=trips.c.n).label("place"),
                            trips.c.n).where(trips.c.city.in_(["Lima", "Oslo"])).cte("ranked")
            first = select(ranked.c.city, ranked.c.n).where(ranked.c.place == 1).order_by(ranked.c.city)
            expect_equal([tuple(row) for row in db.execute(first)], [("Lima", 0), ("Oslo", 1)], f"{name}: a CTE with a window")
            grouped = select(func.count(), func.sum(trips.c.n), func.max(trips.c.at)).where(trips.c.city.in_(["Lima", "Oslo"]))
            expect_equal(tuple(db.execute(grouped).one()), (3, 3, datetime.datetime(2026, 1, 1, 8)), f"{name}: aggregates")
            bound = db.execute(alchemy.text("SELECT CAST(:a AS DECIMAL(9,2)), CAST(:b AS DATE), :c"),
                               {"a": decimal.Decimal("1.50"), "b": datetime.date(2026, 2, 28), "c": "é"}).one()
            expect_equal(tuple(bound), (decimal.Decimal("1.50"), datetime.date(2026, 2, 28), "é"), f"{name}: bound values")
            pieces = db.execution_options(yield_per=100).execute(alchemy.text("SELECT i FROM range(1000) t(i) ORDER BY i"))
            expect_equal([row[0] for row in pieces], list(range(1000)), f"{name}: by the piece")
        with engine.begin() as db:
            db.execute(trips.insert(), [{"at": datetime.datetime(2026, 5, 1), "city": name, "n": n} for n in range(50)])
        expect_equal(server.sql_rows(f"SELECT trips, n FROM by_city WHERE city = '{name}'"), [[50, 1225]], "inserted rows")
        with engine.connect() as db:
            db.execute(trips.insert(), {"at": datetime.datetime(2026, 5, 1), "city": "gone", "n": 1})
            db.rollback()
        expect_equal(server.sql_rows("SELECT count(*) FROM trips")[0][0], before + 50, "rows behind a rollback")
        with engine.connect() as db:
            try:
                db.execute(alchemy.text("SELECT * FROM nothing"))
                expect(False, "an error")
            except alchemy.exc.ProgrammingError as error:
                expect("MR1201" in str(error) or "nothing" in str(error), str(error))

        class City(orm.declarative_base()):
            __table__ = by_city

        with orm.Session(engine) as session:
            expect_equal(session.get(City, "Oslo").trips, 1, f"{name}: a row by its key")
            expect_equal(session.get(City, "nowhere"), None, f"{name}: a key that is not there")


def test_sqlalchemy_pool_outlives_a_restart(test):
    """A pooled connection that died is noticed before it is used; levels of isolation and AUTOCOMMIT are taken."""
    alchemy = driver("sqlalchemy")
    server = test.server()
    server.start()
    server.sql("CREATE STREAM one (n BIGINT)")
    for name in ("psycopg", "psycopg2"):
        port = server.postgres_url.rsplit(":", 1)[1].split("/")[0]
        server.args = ["--postgres-port", port]
        engine = engine_of(server, name)
        ask = alchemy.text("SELECT count(*) FROM one")
        with engine.connect() as db:
            db.execute(ask)
        server.stop()
        server.start()
        with engine.connect() as db:
            expect_equal(db.execute(ask).scalar(), 0, f"{name}: behind a restart")
        for level in ("AUTOCOMMIT", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
            with engine.connect().execution_options(isolation_level=level) as db:
                expect_equal(db.execute(ask).scalar(), 0, f"{name}: {level}")
        engine.dispose()
