"""The pages about stores outside, as they stand there but for addresses and files: docs/how-to/sinks.md on a PostgreSQL and
a Redis with TLS and passwords, and docs/how-to/join-reference-data.md."""
import re

from harness import ROOT, expect, expect_equal
from pg_clients import driver
from stores import Postgres, Redis, running, wait_for
from test_sinks import sink, wait_up_to_date
from test_tls import Authority

SECRET = "Shop-Secret-Word"
RULES = ["local all all trust", "host all postgres 127.0.0.1/32 trust", "hostssl all all 127.0.0.1/32 scram-sha-256"]


def statements(page):
    """The statements of the blocks of SQL, a list for each block, without their comments."""
    text = (ROOT / "docs/how-to" / page).read_text()
    blocks = re.findall(r"^```sql\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    expect(blocks, f"{page} shows no SQL")
    return [[one.strip() for one in re.sub(r"--.*", "", block).split(";") if one.strip()] for block in blocks]


def replaced(sql, *pairs):
    for there, ours in pairs:
        sql = sql.replace(there, ours)
    return sql


def test_the_page_about_sinks_does_what_it_says(test):
    """Each statement is taken, the stores get the rows by TLS with the files that it names, and what it tells of comes true."""
    authority = Authority(test.folder / "certificates")
    authority.issue("server", "server")
    certificate = tuple(authority.folder / f"server.{kind}" for kind in ("crt", "key"))
    for name in ("shop", "redis"):
        (test.folder / f"{name}.password").write_text(SECRET + "\n")
    page = (ROOT / "docs/how-to/sinks.md").read_text()
    with running(Postgres(driver("psycopg"), rules=RULES, certificate=certificate)) as store, \
            running(Redis(test.folder, SECRET, ["--user", "millrace", "on", f">{SECRET}", "~*", "+@all"],
                          (*certificate, authority.path))) as redis:
        for statement in (f"CREATE USER millrace PASSWORD '{SECRET}'", "CREATE DATABASE shop"):
            store.run(statement)
        store.database = "shop"
        # What the page asks for, and no more.
        expect("needs `CREATE` in the schema once, then no more" in re.sub(r"\s+", " ", page), "the rights")
        store.run("GRANT CREATE ON SCHEMA public TO millrace")
        store.run("CREATE TABLE device (station text PRIMARY KEY, place text)")
        store.run("INSERT INTO device VALUES ('oslo', 'Norway'), ('bergen', 'Norway'), ('lima', 'Peru')")
        store.run("GRANT SELECT ON device TO millrace")

        def ours(sql):
            return replaced(sql, ("10.0.0.9:5432", f"127.0.0.1:{store.port}"), ("10.0.0.8:6380", f"127.0.0.1:{redis.port}"),
                            ("/etc/millrace/ca.pem", authority.path), ("/etc/millrace/", f"{test.folder}/"),
                            ("1 minute", "1 second"))
        server = test.server().start()
        server.sql("CREATE STREAM readings (station VARCHAR, temperature DOUBLE)")
        table, clear, keys, foreign = statements("sinks.md")
        server.post("readings", [{"station": station, "temperature": value} for station in ("oslo", "lima") for value in range(12)])
        server.post("readings", [{"station": "bergen", "temperature": 1.5}])
        for sql in table:
            server.sql(ours(sql))
        wait_up_to_date(server, "stations")
        expected = [("lima", 12, 5.5), ("oslo", 12, 5.5)]
        select = "SELECT station, n, temperature FROM stations ORDER BY 1"
        expect_equal(store.rows(select), expected, "the table")
        expect_equal(store.rows("SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                                "WHERE application_name = 'millrace'"), [(True,)], "TLS")
        store.run("REVOKE CREATE ON SCHEMA public FROM millrace")
        store.run("CREATE INDEX ON stations (temperature)")
        server.post("readings", [{"station": "bergen", "temperature": 1.5}] * 10)
        wait_up_to_date(server, "stations")
        expected = sorted([*expected, ("bergen", 11, 1.5)])
        expect_equal(store.rows(select), expected, "the table, when CREATE is taken back")
        for sql in clear:
            store.run(sql)
        wait_for("the rows again", lambda: store.rows(select) == expected, 20)
        # A restart: the rights that are left do.
        server.restart_on_the_same_port = True
        server.kill()
        server.start()
        wait_up_to_date(server, "stations")

        for sql in keys:
            server.sql(ours(sql))
        wait_up_to_date(server, "live")
        with redis.connect() as client:
            expect("`HGETALL station:oslo` gives `station`, `n` and `mean`" in page, "the hash")
            expect_equal(client.hash("station:oslo"), {"station": "oslo", "n": "12", "mean": "5.5"}, "the hash")
            state = client.hash("station:%state")
            expect_equal((bool(state["token"]), state["whole"]), (True, "1"), "the state")

        named = {"lag_events", "lag_ms", "state", "error", "backfills"}
        expect(named <= set(sink(server, "stations")) and all(f"`{name}`" in page for name in named), "the columns of SHOW SINKS")
        expect("millrace_sink_lag_seconds" in page and server.metric("millrace_sink_lag_seconds") is not None, "the metric")
        for name in ("PAUSE SINK stations", "RESUME SINK stations"):
            expect(f"`{name}`" in page, name)
            server.sql(name)
        wait_up_to_date(server, "stations")
        expect_equal(store.rows(select), expected, "the table after RESUME")

        for sql in foreign:
            server.sql(ours(sql))
        read = "SELECT place, n FROM by_place ORDER BY place"
        expect_equal(server.sql_rows(read), [["Norway", 23], ["Peru", 12]], "the join")
        store.run("UPDATE device SET place = 'Peru' WHERE station = 'oslo'")
        wait_for("the other place", lambda: server.sql_rows(read) == [["Norway", 11], ["Peru", 24]])


def test_the_page_about_reference_data_does_what_it_says(test):
    """Tables by hand, from a file and from another database, the join, and each change of the data."""
    page = (ROOT / "docs/how-to/join-reference-data.md").read_text()
    by_hand, from_file, from_database, join, change = statements("join-reference-data.md")
    with running(Postgres(driver("psycopg"))) as store:
        server = test.server().start()
        server.sql("CREATE STREAM trips (city VARCHAR)")
        server.post("trips", [{"city": city} for city in ("LIM", "LIM", "SFO")])
        folder = server.data / "import"
        folder.mkdir(exist_ok=True)
        (folder / "city.csv").write_text("code,name,country\nLIM,Lima,PE\nSFO,San Francisco,US\n")
        (folder / "city-of-today.csv").write_text("code,name,country\nSFO,San Francisco,California\n")
        store.run("CREATE TABLE city (code text PRIMARY KEY, name text, country text)")
        store.run("INSERT INTO city VALUES ('LIM', 'Lima', 'PE'), ('SFO', 'San Francisco', 'US')")
        expect("`import/`" in page, "the folder")
        database = [replaced(sql, ("millrace@10.0.0.9:5432/shop", f"postgres@127.0.0.1:{store.port}/postgres"),
                             ("1 minute", "1 second")) for sql in from_database]
        for way in (by_hand, from_file, database):
            for sql in way:
                server.sql(sql)
            expect_equal(sorted(server.sql_rows("SELECT * FROM city")), [["LIM", "Lima", "PE"], ["SFO", "San Francisco", "US"]],
                         "the table")
            for sql in join:
                server.sql(sql)
            read = "SELECT country, trips FROM trips_by_country ORDER BY country"
            expect_equal(server.sql_rows(read), [["PE", 2], ["US", 1]], "the join")
            if way is database:
                store.run("UPDATE city SET country = 'Peru' WHERE code = 'LIM'")
                wait_for("the change there", lambda: server.sql_rows(read) == [["Peru", 2], ["US", 1]])
            else:
                for sql in change[:-1]:
                    server.sql(sql)
                wait_for("the changes", lambda: server.sql_rows(read) == [["Peru", 2], [None, 1]])
                server.sql(change[-1])
                wait_for("the file of today", lambda: server.sql_rows(read) == [["California", 1], [None, 2]])
            server.sql("DROP MATERIALIZED VIEW trips_by_country")
            server.sql("DROP TABLE city")
