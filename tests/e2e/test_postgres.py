"""PostgreSQL's wire with psql."""
import os
import shutil
import subprocess

from harness import expect, expect_equal
from test_tls import Authority

STATEMENTS = ["CREATE STREAM trips (at TIMESTAMP, city VARCHAR, n INTEGER) WITH (time = at, key = city)",
              "CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS trips, sum(n) AS n FROM trips GROUP BY city"]
EVENTS = [{"at": "2026-01-01T08:00:00Z", "city": city, "n": n} for n, city in enumerate(["Lima", "Oslo", "Lima"])]


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


def test_psql_asks_and_is_told_where_it_is_wrong(test):
    """Rows, several statements, errors with their caret and id, and an answer that would be cut off."""
    server = start(test, config={"sql": {"rows_max": 1000}})
    url = server.postgres_url
    code, out, err = psql(url, "SELECT city, trips, n FROM by_city ORDER BY city")
    expect_equal((code, out), (0, "Lima|2|2\nOslo|1|1\n"), err)
    code, out, err = psql(url, script="\\timing on\nSELECT count(*) FROM trips;\nSELECT 1; SELECT 2;\n")
    expect(out.startswith("Timing is on.\n3\nTime: "), f"{out} {err}")
    code, out, err = psql(url, "SELECT 'é',\n * FROM nothing")
    expect_equal(code, 1, out)
    lines = err.splitlines()
    expect("nothing" in lines[0] and lines[1].startswith("LINE 2:"), err)
    expect_equal(lines[2].index("^"), lines[1].index("nothing"), err)
    expect("MR1201" in err, err)
    code, out, err = psql(url, "SELECT 1; SELECT * FROM nothing; SELECT 2")
    expect_equal((code, out), (1, "1\n"), err)
    code, out, err = psql(url, "SELECT * FROM range(1001)")
    expect_equal((code, out), (1, ""), "no rows of an answer that is cut off")
    expect("LIMIT" in err, err)
    code, out, err = psql(url, "CREATE STREAM more (at TIMESTAMP, v DOUBLE) WITH (time = at)", "DROP STREAM more")
    expect_equal((code, out), (0, "CREATE STREAM\nDROP STREAM\n"), err)


def test_psql_logs_in_over_tls(test):
    """A password by SCRAM, bound to the certificate; a wrong one, no one, no TLS where it must be."""
    authority = Authority(test.folder / "certificates")
    authority.issue("server", "first")
    authority.issue("ana", "ana")
    folder = authority.folder
    server = start(test, config={"tls": {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key"),
                                         "client_ca": authority.path, "client_certificates": "optional",
                                         "client_user": "cn"},
                                 "postgres": {"tls": "required"}},
                   args=["--https-port", "0", "--mqtts-port", "0"])
    server.sql("CREATE USER ana WITH PASSWORD 'right'")
    base = server.postgres_url.replace("127.0.0.1", "ana@localhost") + f"?sslrootcert={authority.path}"
    select = "SELECT trips FROM by_city WHERE city = 'Oslo'"
    for more in ("&sslmode=verify-full", "&sslmode=require&channel_binding=require",
                 "&sslmode=require&channel_binding=disable"):
        code, out, err = psql(base + more, select, env={"PGPASSWORD": "right"})
        expect_equal((code, out), (0, "1\n"), f"{more}: {err}")
    code, _, err = psql(base + "&sslmode=require", select, env={"PGPASSWORD": "wrong"})
    expect(code == 2 and "the secret is wrong" in err and "right" not in err, err)
    code, _, err = psql(base + "&sslmode=disable", select, env={"PGPASSWORD": "right"})
    expect(code == 2 and "TLS" in err, err)
    (folder / "ana.key").chmod(0o600)
    code, out, err = psql(base + f"&sslmode=require&sslcert={folder / 'ana.crt'}&sslkey={folder / 'ana.key'}", select)
    expect_equal((code, out), (0, "1\n"), f"with a certificate: {err}")
