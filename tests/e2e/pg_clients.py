"""Clients of PostgreSQL that the tests drive, and what they ask: psql, the Python drivers, node-postgres, JDBC."""
import datetime
import decimal
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import uuid

from harness import ROOT, Failure, expect, expect_equal

JDBC_DRIVER = pathlib.Path("/usr/share/java/postgresql.jar")
STATEMENTS = ["CREATE STREAM trips (at TIMESTAMP, city VARCHAR, n INTEGER) WITH (time = at, key = city)",
              "CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS trips, sum(n) AS n FROM trips GROUP BY city"]
EVENTS = [{"at": "2026-01-01T08:00:00Z", "city": city, "n": n} for n, city in enumerate(["Lima", "Oslo", "Lima"])]
# What each driver makes of a value of each type, as Python has it.
VALUES = [("true", True), ("12::SMALLINT", 12), ("-5::INTEGER", -5), ("9000000000::BIGINT", 9000000000),
          ("18446744073709551615::UBIGINT", decimal.Decimal("18446744073709551615")), ("0.1::DOUBLE", 0.1),
          ("12.340::DECIMAL(9,3)", decimal.Decimal("12.340")), ("'é'", "é"),
          ("DATE '2026-02-28'", datetime.date(2026, 2, 28)), ("TIME '23:59:59.5'", datetime.time(23, 59, 59, 500000)),
          ("TIMESTAMP '2026-02-28 12:00:00.25'", datetime.datetime(2026, 2, 28, 12, 0, 0, 250000)),
          ("UUID '00000000-0000-0000-0000-00000000000a'", uuid.UUID(int=10)), ("[1, 2, NULL]::INTEGER[]", [1, 2, None]),
          ("['a', 'b,\"']", ["a", "b,\""]), ("NULL::INTEGER", None)]
SELECT = "SELECT " + ", ".join(f"{sql} AS c{i}" for i, (sql, _) in enumerate(VALUES))


def driver(name):
    """A Python driver, from build/python where ./dev setup installs it."""
    for site in sorted((ROOT / "build/python/lib").glob("python3*/site-packages")):
        if str(site) not in sys.path:
            sys.path.append(str(site))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Failure(f"{name} is not installed: run ./dev setup") from error


def start(test, **more):
    server = test.server(**more).start()
    for statement in STATEMENTS:
        server.sql(statement)
    server.post("trips", EVENTS)
    return server


def psql(url, *commands, env=None, script=None):
    """(exit code, output, errors) of psql without any configuration."""
    expect(shutil.which("psql"), "psql is not here: ./dev setup installs postgresql-client")
    arguments = [part for command in commands for part in ("-c", command)]
    environment = {**os.environ, "PGCONNECT_TIMEOUT": "20", "PGPASSWORD": "", **(env or {})}
    done = subprocess.run(["psql", url, "-X", "-A", "-t", *arguments], capture_output=True, timeout=60, env=environment,
                          input=script.encode() if script else b"")
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class NodePostgres:
    def __init__(self, url):
        self.process = subprocess.Popen(["node", str(ROOT / "tests/e2e/pg_client.cjs"), url], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        expect_equal(self.answer(), {"connected": True}, "node-postgres connects")

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def query(self, sql, *values, name=None):
        self.process.stdin.write(json.dumps({"sql": sql, "values": values or None, "name": name}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)


def jdbc(url, *checks, timeout=120):
    """Runs checks of PgClient.java on the JDBC driver; the text that they print."""
    expect(JDBC_DRIVER.exists(), f"there is no {JDBC_DRIVER}: ./dev setup installs libpostgresql-jdbc-java")
    done = subprocess.run(["java", "-cp", str(JDBC_DRIVER), str(ROOT / "tests/e2e/PgClient.java"), "jdbc:" + url, *checks],
                          capture_output=True, text=True, timeout=timeout)
    expect_equal((done.returncode, done.stderr), (0, ""), f"PgClient.java {' '.join(checks)}: exit code and errors")
    return done.stdout
