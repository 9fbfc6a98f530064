"""pgbench with scripts of its own: look-ups by key, inserts and transactions, in each of its three protocols."""
import re
import shutil
import subprocess

from harness import expect, expect_equal
from pg_clients import start

LOOKUP = "\\set k random(1, 200)\nSELECT n FROM by_key WHERE k = :k;\n"
INSERT = "\\set k random(1, 200)\nINSERT INTO keyed VALUES ('2026-01-01 00:00:00', :k, :client_id);\n"
TRANSACTION = ("\\set k random(1, 200)\nBEGIN READ ONLY;\n"
               "SELECT sum(n) AS a FROM by_key \\gset\nSELECT count(*) AS b FROM keyed \\gset\n"
               "SELECT CASE WHEN :a = :b THEN 1 ELSE error('a transaction sees two moments') END;\nEND;\n")


def pgbench(test, server, script, mode, transactions):
    expect(shutil.which("pgbench"), "pgbench is not here: ./dev setup installs postgresql-15")
    path = test.folder / "script.sql"
    path.write_text(script)
    done = subprocess.run(["pgbench", "-n", "-f", str(path), "-M", mode, "-c", "4", "-j", "2", "-t", str(transactions),
                           server.postgres_url], capture_output=True, text=True, timeout=120)
    expect_equal((done.returncode, done.stderr), (0, ""), f"pgbench -M {mode}: exit code and errors\n{script}")
    told = re.search(r"actually processed: (\d+)/(\d+)\nnumber of failed transactions: (\d+)", done.stdout)
    expect(told, done.stdout)
    expect_equal(told.groups(), (str(4 * transactions), str(4 * transactions), "0"), f"-M {mode}: what pgbench counted")


def test_pgbench_runs_its_scripts(test):
    """What was inserted is counted once, and in a transaction the view and its stream always agree."""
    server = start(test)
    server.sql("CREATE STREAM keyed (at TIMESTAMP, k BIGINT, n BIGINT) WITH (time = at)")
    server.sql("CREATE MATERIALIZED VIEW by_key AS SELECT k, count(*) AS n FROM keyed GROUP BY k")
    for mode in ("simple", "extended", "prepared"):
        pgbench(test, server, INSERT, mode, 50)
        pgbench(test, server, LOOKUP, mode, 200)
        pgbench(test, server, TRANSACTION, mode, 10)
    expect_equal(server.sql_rows("SELECT sum(n) FROM by_key"), [[3 * 4 * 50]], "inserted rows")
