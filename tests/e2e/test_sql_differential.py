"""Generated SELECTs over streams, views and tables give what DuckDB gives over the same rows: over HTTP, and over the
PostgreSQL wire in text and in binary."""
import datetime
import decimal
import json
import uuid

from harness import JSON, clip, expect, expect_equal, run_batch
from pg_clients import driver
from select_generator import CITIES, WORDS, Generator

BY_CITY = ("SELECT city, count(*) AS facts, sum(n) AS n, sum(price) AS price, avg(ratio) AS ratio, min(made) AS first, "
           "max(made) AS last, count(DISTINCT word) AS words FROM facts GROUP BY city")
BY_DAY = "SELECT day, flag, count(*) AS facts, sum(big) AS big, max(price) AS dearest FROM facts GROUP BY day, flag"
CHEAP = "SELECT id, city, price FROM facts WHERE price < 10"
COLUMNS = ("id BIGINT, made TIMESTAMP, city VARCHAR, n INTEGER, big BIGINT, price DECIMAL(12,2), ratio DOUBLE, day DATE, "
           "flag BOOLEAN, word VARCHAR")
PLACES = [("Lima", "PE", 10), ("Oslo", "NO", 1), ("Rome", None, 3), ("nowhere", "XX", None)]
EVENTS = 1200
# Where the engine refuses a value (a number out of range, say), all doors must; but most must answer.
REFUSED_MAX = 0.15


def events(rng):
    def or_null(value, part=0.12):
        return None if rng.random() < part else value

    out = []
    for number in range(EVENTS):
        made = datetime.datetime(2026, rng.randint(1, 9), rng.randint(1, 28), rng.randint(0, 23), rng.randint(0, 59), 0,
                               rng.choice([0, 0, 250000, 1]))
        out.append({"id": number, "made": made.isoformat(sep=" "), "city": or_null(rng.choice(CITIES)),
                    "n": or_null(rng.randint(-1000, 1000)), "big": or_null(rng.randint(-10**9, 10**9)),
                    "price": or_null(f"{rng.randint(-5000, 5000) / 100:.2f}"), "ratio": or_null(rng.randint(-800, 800) / 8),
                    "day": or_null(f"2026-0{rng.randint(1, 3)}-1{rng.randint(0, 9)}"), "flag": or_null(rng.random() < 0.5),
                    "word": or_null(rng.choice(WORDS))})
    return out


def serve(test, rows):
    """Part of the rows in a generation, part in the lake alone, part in the log's tail."""
    server = test.server(config={"batch": {"interval_ms": 3600000}}).start()
    server.sql(f"CREATE STREAM facts ({COLUMNS}) WITH (time = made, key = city, partitions = 3)")
    server.sql("CREATE TABLE places (city VARCHAR, country VARCHAR, size BIGINT, PRIMARY KEY (city))")
    for row in PLACES:
        server.sql("INSERT INTO places VALUES (" + ", ".join("NULL" if value is None else f"'{value}'" for value in row) + ")")
    server.sql(f"CREATE MATERIALIZED VIEW by_city AS {BY_CITY}")
    server.sql(f"CREATE MATERIALIZED VIEW by_day AS {BY_DAY}")
    server.sql(f"CREATE VIEW cheap AS {CHEAP}")
    half, most = EVENTS // 2, EVENTS * 4 // 5
    server.post("facts", rows[:half])
    run_batch(server)
    server.post("facts", rows[half:most])
    server.post("facts", rows[most:])
    return server


def reference(rows):
    """DuckDB with the same rows as tables, each view as the answer of its SELECT."""
    db = driver("duckdb").connect()
    db.execute("SET TimeZone = 'UTC'")
    db.execute(f"CREATE TABLE facts ({COLUMNS})")
    db.executemany("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [list(row.values()) for row in rows])
    db.execute("CREATE TABLE places (city VARCHAR, country VARCHAR, size BIGINT)")
    db.executemany("INSERT INTO places VALUES (?, ?, ?)", [list(row) for row in PLACES])
    db.execute(f"CREATE TABLE by_city AS {BY_CITY}")
    db.execute(f"CREATE TABLE by_day AS {BY_DAY}")
    db.execute(f"CREATE VIEW cheap AS {CHEAP}")
    return db


def from_json(value, kind):
    """What JSON says of a value of DuckDB's type `kind`."""
    if value is None:
        return None
    if kind.endswith("[]"):
        return [from_json(one, kind[:-2]) for one in value]
    if kind.startswith("DECIMAL"):
        expect(isinstance(value, str), f"a DECIMAL that is not a text: {value!r}")
        return decimal.Decimal(value)
    reads = {"DOUBLE": float, "TIMESTAMP": datetime.datetime.fromisoformat, "DATE": datetime.date.fromisoformat, "UUID": uuid.UUID}
    if kind.endswith("INT") or kind.endswith("INTEGER"):
        expect(not isinstance(value, (bool, float)), f"an integer that is {value!r}")
        return int(value)
    return reads[kind](value) if kind in reads else value


def plain(value, kind):
    """A form in which equal values of the type are equal texts, and no others: NaN, -0.0 and the scale count."""
    if value is None:
        return "NULL"
    if kind.endswith("[]"):
        return "[" + ", ".join(plain(one, kind[:-2]) for one in value) + "]"
    if kind == "DOUBLE":
        return repr(float(value))
    return repr(value) if isinstance(value, str) else str(value)


class Doors:
    """The ways in; each gives rows of values, or None and the error."""

    def __init__(self, server):
        self.psycopg = driver("psycopg")
        self.server = server
        self.db = self.psycopg.connect(server.postgres_url, autocommit=True, prepare_threshold=None)

    def http(self, text, kinds):
        answer = self.server.request("POST", "/v1/sql", json.dumps({"sql": text}).encode(), {"Content-Type": JSON})
        if answer.status != 200:
            expect(400 <= answer.status < 500, f"HTTP {answer.status}: {clip(answer.text())}\n{text}")
            return None, answer.text()
        return [[from_json(value, kind) for value, kind in zip(row, kinds)] for row in answer.json()["rows"]], None

    def wire(self, text, binary):
        try:
            return self.db.execute(text, binary=binary).fetchall(), None
        except self.psycopg.Error as error:
            expect(error.sqlstate and not error.sqlstate.startswith("XX"), f"{error.sqlstate} {error}\n{text}")
            return None, str(error)


def lines_of(rows, kinds, ordered):
    lines = ["\t".join(plain(value, kind) for value, kind in zip(row, kinds)) for row in rows]
    return lines if ordered else sorted(lines)


def test_generated_selects_give_what_duckdb_gives(test):
    """Filters, projections, casts, aggregates, joins, CTEs, windows, sets and subqueries, of which many meet NULLs."""
    rows = events(test.rng)
    server, db = serve(test, rows), reference(rows)
    doors, generator = Doors(server), Generator(test.rng)
    duckdb = driver("duckdb")
    refused = answered = values = 0
    why = None
    for number in range(test.options.selects):
        text = generator.statement()
        try:
            relation = db.sql(text)
            kinds, wanted = [str(kind) for kind in relation.types], relation.fetchall()
        except duckdb.Error as error:
            kinds, wanted, why = [], None, error
        given = {"HTTP": doors.http(text, kinds), "text": doors.wire(text, False), "binary": doors.wire(text, True)}
        for door, (got, error) in given.items():
            if wanted is None:
                expect(got is None, f"{door} answers what DuckDB refuses ({why})\n{text}")
                continue
            expect(got is not None, f"{door} refuses what DuckDB answers: {error}\n{text}")
            ordered = " ORDER BY " in text and " LIMIT " in text and not text.startswith("WITH")
            expect_equal(lines_of(got, kinds, ordered), lines_of(wanted, kinds, ordered), f"{door}, SELECT {number}:\n{text}\n")
        refused += wanted is None
        answered += wanted is not None
        values += sum(len(row) for row in wanted or [])
    expect(refused <= REFUSED_MAX * test.options.selects, f"{refused} of {test.options.selects} SELECTs were refused: {why}")
    test.note(f"{answered} SELECTs with {values} values alike by three doors, {refused} refused by all")
