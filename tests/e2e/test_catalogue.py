"""What clients of PostgreSQL ask of the catalogue, and the schema millrace: tests/catalogue/<tool>/*.sql hold the
statements, captured from the tools, with the rows that they give here."""
import collections
import json
import os
import re
import subprocess

from harness import JSON, ROOT, clip, expect, expect_equal, rows_as_dicts

STATEMENTS = ROOT / "tests" / "catalogue"
EXPECTED = "--> "
ROWS_MAX = 25  # of a statement, in its file; of those with more, how many

FIXTURE = [
    "CREATE STREAM flights (date TIMESTAMP, origin VARCHAR, destination VARCHAR, delay BIGINT, distance BIGINT) "
    "WITH (time = date, key = origin)",
    "CREATE TABLE airports (code VARCHAR, name VARCHAR, runways INTEGER, PRIMARY KEY (code))",
    "CREATE MATERIALIZED VIEW delays AS SELECT origin, count(*) AS flights, avg(delay) AS mean_delay FROM flights GROUP BY origin",
    "CREATE VIEW long_flights AS SELECT * FROM flights WHERE distance > 1000",
]
FLIGHTS = [
    {"date": "2001-01-01 00:00:00", "origin": "LAX", "destination": "JFK", "delay": 3, "distance": 2475},
    {"date": "2001-01-01 01:00:00", "origin": "SFO", "destination": "LAX", "delay": -1, "distance": 337},
]


def started(test):
    # No commit of the lake: the sizes of streams are among what is compared.
    server = test.server(config={"batch": {"interval_ms": 3_600_000}, "lake": {"commit_interval_ms": 3_600_000}}).start()
    for statement in FIXTURE:
        server.sql(statement)
    server.post("flights", FLIGHTS)
    return server


def oids_of(server):
    return dict(server.sql_rows("SELECT relname, oid FROM pg_catalog.pg_class WHERE relnamespace = 2200"))


def ask(server, text):
    return server.request("POST", "/v1/sql", json.dumps({"sql": text}).encode(), {"Content-Type": JSON})


def expected_lines(rows):
    lines = sorted(json.dumps(row, ensure_ascii=False) for row in rows)
    return lines if len(lines) <= ROWS_MAX else [f"{len(lines)} rows"]


def test_statements_of_tools_about_the_catalogue_give_what_is_written_down(test):
    """With MR_WRITE_EXPECTED=1 the rows are written into the files instead, to be read by people."""
    server = started(test)
    oids = oids_of(server)
    wrong = []
    files = sorted(STATEMENTS.glob("*/*.sql"))
    for path in files:
        lines = path.read_text().splitlines()
        text = "\n".join(line for line in lines if not line.startswith("--"))
        answer = ask(server, re.sub(r"\{(\w+)\}", lambda m: str(oids.get(m[1], m[0])), text))
        name = path.relative_to(STATEMENTS)
        if answer.status != 200:
            wrong.append(f"{name}: HTTP {answer.status}: {clip(answer.text(), 300)}")
            continue
        got = expected_lines(answer.json()["rows"])
        if os.environ.get("MR_WRITE_EXPECTED"):
            kept = [line for line in lines if not line.startswith(EXPECTED)]
            path.write_text("\n".join(kept + [EXPECTED + line for line in got]) + "\n")
            continue
        want = [line.removeprefix(EXPECTED) for line in lines if line.startswith(EXPECTED)]
        if got != want:
            wrong.append(f"{name}: {clip(got, 300)} instead of {clip(want, 300)}")
    expect(not wrong, f"{len(wrong)} of {len(files)} statements:\n  " + "\n  ".join(wrong))
    test.note(f"{len(files)} statements")


def test_oids_stay_over_a_restart_and_are_not_given_twice(test):
    """A stream that is made again under the same name is another one."""
    server = started(test)
    before = oids_of(server)
    server.kill()
    server.start()
    expect_equal(oids_of(server), before, "the OIDs after a restart")
    expect_equal(len(set(before.values())), len(before), "different OIDs")
    server.sql("CREATE STREAM other (n BIGINT)")
    first = oids_of(server)["other"]
    server.sql("DROP STREAM other")
    server.sql("CREATE STREAM other (n BIGINT)")
    expect(oids_of(server)["other"] != first, "an OID was given twice")
    expect(first not in oids_of(server).values(), "an OID of a stream that went")


def test_the_catalogue_tells_nothing_of_the_process_that_answers(test):
    """DuckDB's own catalogue and settings are out of reach, and no view may be made of ours."""
    server = started(test)
    names = {name for name, in server.sql_rows("SELECT name FROM pg_settings")}
    expect("server_version" in names and "TimeZone" in names, f"settings: {sorted(names)}")
    expect(not names & {"memory_limit", "threads", "temp_directory", "allowed_directories"}, "settings of the engine")
    expect_equal(server.sql_rows("SELECT current_setting('memory_limit'), current_setting('home_directory')"), [[None, None]],
                 "settings of the engine by name")
    told = json.dumps(server.sql_rows("SELECT * FROM information_schema.tables") + server.sql_rows("SELECT * FROM pg_catalog.pg_class"))
    # But for names of PostgreSQL's own, as pg_backend_memory_contexts.
    others = re.sub(r"pg_\w+", "", told)
    found = [word for word in ("duckdb", "memory", "temp") if word in others]
    expect(not found, f"of the engine: {found}")
    for text in ("SELECT * FROM system.information_schema.tables", "SELECT * FROM system.pg_catalog.pg_class",
                 "SELECT * FROM memory.main.flights", "SELECT * FROM temp.flights",
                 "SELECT * FROM pg_catalog.duckdb_settings()", "SELECT pg_catalog.getenv('HOME')",
                 "SELECT * FROM pg_catalog.read_text('/etc/passwd')", "SELECT * FROM information_schema.nothing",
                 "SELECT \"pg_catalog.mr_regclass_oid\"('flights', 1)", "SELECT main.version()",
                 "CREATE VIEW spy AS SELECT * FROM pg_catalog.pg_class", "CREATE VIEW spy AS SELECT * FROM pg_class",
                 "CREATE MATERIALIZED VIEW spy AS SELECT version() AS v, count(*) AS n FROM flights GROUP BY v",
                 "CREATE TABLE spy AS SELECT * FROM information_schema.tables"):
        answer = ask(server, text)
        expect(400 <= answer.status < 500 and answer.problem_code(), f"{text}: {answer.status} {clip(answer.text())}")
    expect(server.alive(), "the server")


def test_the_schema_millrace_tells_what_show_tells(test):
    """Streams, views, positions, quarantine and generations by SELECT, joined like any relation."""
    server = started(test)
    server.request("POST", "/v1/streams/flights/events", b"no json\n", {"Content-Type": "application/x-ndjson"})
    stream, = rows_as_dicts(server.sql("SELECT * FROM millrace.streams WHERE name = 'flights'"))
    expect_equal((stream["events"], stream["time_column"], stream["key_column"], stream["quarantine"]),
                 (2, "date", "origin", "flights__quarantine"), "the stream")
    view, = rows_as_dicts(server.sql("SELECT v.*, c.relkind FROM millrace.views v JOIN pg_catalog.pg_class c ON c.oid = v.oid "
                                     "WHERE v.name = 'delays'"))
    expect_equal((view["materialized"], view["state"], view["groups_in_delta"], view["relkind"]), (True, "live", 2, "m"), "the view")
    expect_equal(server.sql_rows("SELECT sum(applied) FROM millrace.positions WHERE stream = 'flights'"), [[2]], "the position")
    expect_equal(server.sql_rows("SELECT records FROM millrace.quarantine WHERE stream = 'flights'"), [[1]], "the quarantine")
    shown = {row["name"] for row in rows_as_dicts(server.sql("SHOW STREAMS"))}
    expect_equal({name for name, in server.sql_rows("SELECT name FROM millrace.streams")}, shown, "the streams")
    for relation in ("generations", "jobs", "connections", "sessions", "audit", "metrics", "users", "grants", "tables"):
        server.sql(f"SELECT * FROM millrace.{relation}")


def test_every_relation_of_the_catalogue_can_be_read(test):
    """All of PostgreSQL 15's, empty or not, with their columns."""
    server = started(test)
    names = server.sql_rows("SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema <> 'public'")
    expect(len(names) > 200, f"{len(names)} relations")
    listed = collections.defaultdict(list)
    for schema, name, column in server.sql_rows("SELECT table_schema, table_name, column_name FROM information_schema.columns "
                                                "ORDER BY table_schema, table_name, ordinal_position"):
        listed[schema, name].append(column)
    for schema, name in names:
        answer = ask(server, f"SELECT * FROM {schema}.{name} LIMIT 3")
        expect_equal(answer.status, 200, f"{schema}.{name}: {clip(answer.text(), 200)}")
        columns = [column["name"] for column in answer.json()["columns"]]
        expect_equal(columns, listed[schema, name], f"the columns of {schema}.{name}")


def test_psql_shows_what_there_is(test):
    """The real psql: its commands about tables, views, columns, keys and definitions."""
    server = started(test)

    def shown(*commands):
        arguments = [part for command in commands for part in ("-c", command)]
        done = subprocess.run(["psql", server.postgres_url, "-X", *arguments], capture_output=True, timeout=60,
                              env={**os.environ, "PGCLIENTENCODING": "UTF8"})
        expect_equal((done.returncode, done.stderr.decode()), (0, ""), f"psql {commands}")
        return re.sub(r"[ ]+", " ", done.stdout.decode())

    listed = shown("\\d")
    for line in ("public | airports | table", "public | delays | materialized view", "public | long_flights | view"):
        expect(line in listed, f"{line}: {listed}")
    table = shown("\\d airports")
    expect('Table "public.airports"' in table and "code | text | | not null" in table, table)
    expect('"airports_pkey" PRIMARY KEY, btree (code)' in table, table)
    view = shown("\\d+ delays")
    expect('Materialized view "public.delays"' in view and "origin | text" in view and "FROM flights GROUP BY origin" in view, view)
    for command in ("\\l", "\\dn", "\\dt+", "\\df", "\\du", "\\dT", "\\di", "\\dx", "\\z", "\\sv long_flights", "\\d millrace.streams",
                    "\\dS pg_class", "\\d information_schema.tables"):
        shown(command)
    # Columns without AS have PostgreSQL's names, in every statement of a session.
    expect("count" in shown("SELECT count(*) FROM flights").splitlines()[0], "the name of count(*)")
    expect_equal(shown("SELECT origin FROM public.flights WHERE public.flights.delay > 0").split()[2:3], ["LAX"], "a name with a schema")
