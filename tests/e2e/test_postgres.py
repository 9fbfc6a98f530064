"""PostgreSQL's wire with the clients that people use: psql, psycopg 2 and 3, asyncpg, node-postgres."""
import asyncio
import os
import pathlib
import socket
import threading
import time
import uuid

from harness import expect, expect_equal
from pg_clients import SELECT, VALUES, NodePostgres, driver, psql, start
from test_tls import Authority


def test_psql_asks_and_is_told_where_it_is_wrong(test):
    """Rows, several statements, errors with their caret and id, and an answer that would be cut off."""
    server = start(test, config={"sql": {"rows_max": 1000, "spill_bytes_max": 1 << 20}})
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
    expect_equal((code, out), (0, "".join(f"{i}\n" for i in range(1001))), err)
    code, out, err = psql(url, "SELECT repeat('x', 1000) FROM range(2000)")
    expect_equal((code, out), (1, ""), "no rows of an answer that is cut off")
    expect("LIMIT" in err and "sql.spill_bytes_max" in err, err)
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


def test_psycopg_3_gets_types_back_right(test):
    """Parameters and results, in text and binary; prepared statements; pieces; errors."""
    psycopg = driver("psycopg")
    server = start(test)
    with psycopg.connect(server.postgres_url, autocommit=True) as db:
        for binary in (False, True):
            row = db.execute(SELECT, binary=binary).fetchone()
            expect_equal(list(row), [value for _, value in VALUES], f"binary: {binary}")
            for _ in range(7):  # from the fifth on it is a named statement
                row = db.execute("SELECT trips FROM by_city WHERE city = %s AND n >= %s", ["Lima", 2],
                                 binary=binary).fetchone()
                expect_equal(row, (2,), "by parameters")
        try:
            db.execute("SELECT * FROM nothing")
            expect(False, "an error")
        except psycopg.errors.UndefinedTable as error:
            expect_equal((error.diag.context, error.diag.severity), ("MR1201", "ERROR"), str(error))
        expect_equal(db.execute("SELECT 1").fetchone(), (1,), "behind an error")
        with db.pipeline():
            cursors = [db.execute("SELECT %s::INTEGER", [i]) for i in range(100)]
            expect_equal([c.fetchone()[0] for c in cursors], list(range(100)), "in a pipeline")
    with psycopg.connect(server.postgres_url) as db:
        with db.transaction():
            expect_equal(db.execute("SELECT count(*) FROM trips").fetchone(), (3,), "in a transaction")
            expect_equal(db.info.transaction_status, psycopg.pq.TransactionStatus.INTRANS, "inside")
        expect_equal(db.info.transaction_status, psycopg.pq.TransactionStatus.IDLE, "outside")


def test_psycopg_2_gets_types_back_right(test):
    """Simple queries only, and a transaction around each."""
    psycopg2 = driver("psycopg2")
    server = start(test)
    db = psycopg2.connect(server.postgres_url)
    cursor = db.cursor()
    cursor.execute(SELECT)
    as_text = {12: [1, 2, None], 11: str(uuid.UUID(int=10))}
    expect_equal(list(cursor.fetchone()), [as_text.get(i, value) for i, (_, value) in enumerate(VALUES)], "values")
    cursor.execute("SELECT trips FROM by_city WHERE city = %s", ["Lima"])
    expect_equal(cursor.fetchall(), [(2,)], "by a parameter")
    try:
        cursor.execute("SELECT * FROM nothing")
        expect(False, "an error")
    except psycopg2.errors.UndefinedTable as error:
        expect_equal(error.diag.context, "MR1201", str(error))
    db.rollback()
    cursor.execute("SELECT 1")
    expect_equal(cursor.fetchone(), (1,), "behind an error")
    db.close()


def test_asyncpg_gets_types_back_right(test):
    """Named statements that are described first, Flush, and binary results."""
    asyncpg = driver("asyncpg")
    server = start(test)

    async def ask():
        db = await asyncpg.connect(server.postgres_url, timeout=20)
        row = await db.fetchrow(SELECT)
        expect_equal(list(row), [value for _, value in VALUES], "values")
        rows = await db.fetch("SELECT trips FROM by_city WHERE city = $1 AND n >= $2", "Lima", 2)
        expect_equal([tuple(r) for r in rows], [(2,)], "by parameters")
        try:
            await db.fetch("SELECT * FROM nothing")
            expect(False, "an error")
        except asyncpg.UndefinedTableError as error:
            expect_equal(error.context, "MR1201", str(error))
        got = []
        async with db.transaction():
            async for row in db.cursor("SELECT i FROM range(1000) AS t(i) ORDER BY i", prefetch=7):
                got.append(row[0])
        expect_equal(got, list(range(1000)), "by the piece")
        await db.close()

    asyncio.run(ask())


def test_node_postgres_gets_types_back_right(test):
    """Untyped parameters as text, named statements, errors."""
    server = start(test)
    client = NodePostgres(server.postgres_url.replace("://", "://anybody@"))
    answer = client.query("SELECT 1::INTEGER AS a, 'x' AS b, 0.5::DOUBLE AS c, NULL AS d, [1, 2]::INTEGER[] AS e")
    expect_equal(answer["rows"], [[1, "x", 0.5, None, [1, 2]]], str(answer))
    for _ in range(2):
        answer = client.query("SELECT trips FROM by_city WHERE city = $1 AND n >= $2", "Lima", 2, name="by_city")
        expect_equal((answer.get("rows"), answer.get("count")), ([["2"]], 1), str(answer))
    answer = client.query("SELECT * FROM nothing WHERE a = $1", 1)
    expect_equal((answer.get("code"), answer.get("where")), ("42P01", "MR1201"), str(answer))
    expect_equal(client.query("SELECT 1 AS one")["rows"], [[1]], "behind an error")
    client.close()


def test_a_statement_is_cancelled(test):
    """psycopg's cancel ends the statement that runs, and the session goes on; a lost client ends its own."""
    psycopg = driver("psycopg")
    server = start(test)
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
    with psycopg.connect(server.postgres_url, autocommit=True) as db:
        timer = threading.Timer(1.0, db.cancel)
        timer.start()
        began = time.monotonic()
        try:
            db.execute(slow)
            expect(False, "an error")
        except psycopg.errors.QueryCanceled as error:
            expect_equal(error.sqlstate, "57014", str(error))
        expect(time.monotonic() - began < 15, "it took as long as if nobody had cancelled it")
        timer.join()
        expect_equal(db.execute("SELECT 1").fetchone(), (1,), "behind it")


def test_rows_are_copied_in_and_out(test):
    """COPY by psql and psycopg: CSV, text and binary, out and in again; bad data store nothing."""
    psycopg = driver("psycopg")
    server = start(test)
    code, out, err = psql(server.postgres_url,
                          "COPY (SELECT city, n FROM trips ORDER BY n) TO STDOUT (FORMAT csv, HEADER)")
    expect_equal((code, out), (0, "city,n\nLima,0\nOslo,1\nLima,2\n"), err)
    code, out, err = psql(server.postgres_url, script="COPY trips FROM STDIN (FORMAT csv);\n"
                          "2026-01-02 00:00:00,\"Paris, \"\"FR\"\"\",7\n2026-01-02 00:00:00,Rome,\n\\.\nSELECT 1;\n")
    expect_equal((code, out), (0, "COPY 2\n1\n"), err)
    rows = server.sql_rows("SELECT city, n FROM trips WHERE city IN ('Rome', 'Paris, \"FR\"') ORDER BY city")
    expect_equal(rows, [["Paris, \"FR\"", 7], ["Rome", None]], "copied in")
    with psycopg.connect(server.postgres_url, autocommit=True) as db:
        for format in ("text", "binary"):
            with db.cursor().copy(f"COPY (SELECT * FROM trips) TO STDOUT (FORMAT {format})") as copy:
                data = b"".join(bytes(piece) for piece in copy)
            before = db.execute("SELECT count(*) FROM trips").fetchone()[0]
            with db.cursor().copy(f"COPY trips FROM STDIN (FORMAT {format})") as copy:
                for at in range(0, len(data), 7):
                    copy.write(data[at:at + 7])
            expect_equal(db.execute("SELECT count(*) FROM trips").fetchone()[0], 2 * before, format)
        before = db.execute("SELECT count(*) FROM trips").fetchone()
        try:
            with db.cursor().copy("COPY trips FROM STDIN") as copy:
                copy.write("2026-01-03 00:00:00\tBern\t1\n2026-01-03 00:00:00\tBern\n")
            expect(False, "an error")
        except psycopg.Error as error:
            expect_equal(error.sqlstate, "22P04", str(error))
            expect("line 2" in str(error), str(error))
        expect_equal(db.execute("SELECT count(*) FROM trips").fetchone(), before, "behind bad data")


LARGE_ROWS = 1_000_000
LARGE = "SELECT i, repeat(chr(97 + (i % 26)::INTEGER), 240) AS x FROM range(1000000) t(i) ORDER BY i"


def memory_mb(server):
    """What the server holds; pages of files that it reads are not its own."""
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


def scratch_files(server):
    """The files without a name that the server has open, of answers that are larger than memory."""
    found = []
    for entry in pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if target.endswith(" (deleted)") and "/states/scratch-" in target:
            found.append(target)
    return found


def test_an_answer_of_a_million_rows_comes_whole(test):
    """250 MB by COPY, as a simple query and by a portal: every row, in bounded memory, and nothing stays on disk."""
    psycopg = driver("psycopg")
    server = start(test, config={"sql": {"rows_max": 1000}})
    letters = [chr(97 + i) * 240 for i in range(26)]
    with psycopg.connect(server.postgres_url) as db:
        db.execute("SELECT count(*) FROM trips").fetchone()
        before = memory_mb(server)
        most = before
        count = size = 0
        with db.cursor().copy(f"COPY ({LARGE}) TO STDOUT") as copy:
            for row in copy.rows():
                if count % 1000 == 0:
                    expect_equal(row, (str(count), letters[count % 26]), f"row {count} of COPY")
                if count % 100_000 == 0:
                    most = max(most, memory_mb(server))
                    expect_equal(len(scratch_files(server)), 1, "files of the answer that is read")
                count += 1
                size += len(row[0]) + len(row[1]) + 2
        expect_equal(count, LARGE_ROWS, "rows of COPY")
        expect(size > 240_000_000, f"only {size} bytes")
        expect_equal(scratch_files(server), [], "behind the last row")
        with db.cursor() as cursor:
            count = 0
            for (i,) in cursor.stream(f"SELECT i FROM ({LARGE})"):
                expect_equal(i, count, "a streamed row")
                count += 1
            expect_equal(count, LARGE_ROWS, "rows of a stream")
        most = max(most, memory_mb(server))
        with db.cursor(name="piecewise") as cursor:
            cursor.execute(LARGE)
            count = 0
            while rows := cursor.fetchmany(50_000):
                expect_equal([row[0] for row in rows], list(range(count, count + len(rows))), "rows of a cursor")
                count += len(rows)
                most = max(most, memory_mb(server))
            expect_equal(count, LARGE_ROWS, "rows of a cursor")
            expect_equal(len(scratch_files(server)), 1, "a cursor may go back")
        db.commit()
        expect_equal(scratch_files(server), [], "behind the transaction")
    expect(most - before < 100, f"the server grew from {before:.0f} to {most:.0f} MB")
    test.note(f"the server grew by {most - before:.0f} MB while it gave 240 MB three times")


def test_rows_on_disk_go_with_their_client(test):
    """A client that goes away in the middle of its answer takes the file with it."""
    psycopg = driver("psycopg")
    server = start(test)
    db = psycopg.connect(server.postgres_url)
    cursor = db.cursor()
    rows = cursor.stream(LARGE)
    for _ in range(1000):
        next(rows)
    expect_equal(len(scratch_files(server)), 1, "files of the answer that is read")
    expect(server.metric("millrace_sql_spilled_held_bytes") > 100_000_000, "what is on disk is told")
    expect_equal([path.name for path in (server.data / "states").iterdir()], [], "files with a name")
    with socket.socket(fileno=os.dup(db.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)  # as a process that is killed
    deadline = time.monotonic() + 30
    while scratch_files(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    expect_equal(scratch_files(server), [], "behind the client's end")
    expect_equal(server.metric("millrace_sql_spilled_held_bytes"), 0.0, "behind the client's end")
