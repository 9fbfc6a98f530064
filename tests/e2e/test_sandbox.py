"""SQL of users reads streams and views, and nothing else: every way out that was ever found stays closed."""
import json
import os
import pathlib
import signal
import time

from harness import JSON, clip, expect, expect_equal

ESCAPES = [
    # logging and settings that reach the file system or other connections
    "CALL enable_logging(storage='file', storage_path='{out}')",
    "SELECT * FROM enable_logging(storage='file', storage_path='{out}')",
    "SELECT * FROM enable_logging('QueryLog')",
    "SELECT write_log('x')",
    "SELECT * FROM truncate_duckdb_logs()",
    "CALL checkpoint()", "SELECT * FROM checkpoint()", "CHECKPOINT", "FORCE CHECKPOINT",
    "SET memory_limit = '10GB'", "SET threads = 64", "RESET ALL", "PRAGMA enable_profiling", "PRAGMA database_list",
    "PRAGMA threads=4", "SET SESSION enable_external_access = true",
    # files, by function, by name and by statement
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')", "SELECT * FROM read_ndjson_objects('/etc/passwd')",
    "SELECT * FROM read_parquet('{lake}/**/*.parquet')", "SELECT * FROM parquet_scan('{lake}/**/*.parquet')",
    "SELECT * FROM parquet_metadata('{lake}/**/*.parquet')", "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM '/etc/passwd'", "SELECT * FROM '{lake}/1/1.parquet'", "SELECT * FROM \"/etc/passwd\"",
    "SELECT * FROM sniff_csv('/etc/passwd')", "SELECT * FROM 'data.csv'", "FROM '/etc/hosts'",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "WITH t AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM t",
    "SELECT * FROM items WHERE id IN (SELECT size FROM read_blob('/etc/passwd'))",
    "COPY items TO '{out}'", "COPY (SELECT 1) TO '{out}'", "COPY items FROM '/etc/passwd'",
    "EXPORT DATABASE '{out}'", "IMPORT DATABASE '/tmp'", "ATTACH '{out}' AS x", "ATTACH ':memory:' AS x", "DETACH memory",
    "USE memory", "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    # extensions and the network
    "INSTALL httpfs", "LOAD httpfs", "LOAD '/tmp/x.duckdb_extension'", "FORCE INSTALL json FROM core",
    "SELECT * FROM read_csv('http://127.0.0.1:1/x')", "SELECT * FROM 'https://127.0.0.1/x.parquet'",
    "SELECT * FROM read_parquet('s3://bucket/x')",
    # SQL in strings, several statements, statements that change something
    "SELECT * FROM query('SELECT 1')", "SELECT * FROM query_table('items')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "PRAGMA json_execute_serialized_sql('x')", "SELECT 1; SELECT 2", "SELECT 1; DROP STREAM items",
    "CREATE TABLE t FROM '/etc/passwd'", "CREATE TABLE t FROM '../../passwd.csv'",
    "CREATE TABLE t AS SELECT * FROM read_text('/etc/passwd')", "CREATE TEMP TABLE t AS SELECT 1", "CREATE MACRO m() AS 1", "CREATE SCHEMA s",
    "CREATE TYPE t AS ENUM ('a')", "CREATE SEQUENCE s", "CREATE INDEX i ON items (id)", "CREATE FUNCTION f() AS 1",
    "INSERT INTO items VALUES (1)", "UPDATE items SET id = 1", "DELETE FROM items", "TRUNCATE items", "MERGE INTO items USING items ON true WHEN MATCHED THEN DELETE",
    "ALTER TABLE items ADD COLUMN x INT", "DROP TABLE items", "DROP SCHEMA main", "VACUUM", "ANALYZE", "BEGIN", "COMMIT", "ROLLBACK",
    "PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p", "EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')",
    "COMMENT ON TABLE items IS 'x'", "REINDEX", "LISTEN x", "SHOW ALL TABLES",
    # what tells about the process and the engine
    "SELECT * FROM duckdb_settings()", "SELECT * FROM duckdb_secrets()", "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM duckdb_databases()", "SELECT * FROM duckdb_temporary_files()", "SELECT * FROM duckdb_logs()",
    "SELECT * FROM pragma_database_size()", "SELECT getenv('HOME')", "SELECT * FROM sqlite_master",
    "SELECT * FROM system.information_schema.tables", "SELECT * FROM memory.information_schema.tables",
    "SELECT * FROM system.pg_catalog.pg_settings",
    "SELECT * FROM duckdb_functions()", "SELECT nextval('s')", "SELECT * FROM pragma_table_info('items')",
]


def started(test, config=None):
    server = test.server(config=config).start()
    server.sql("CREATE STREAM items (id BIGINT, at TIMESTAMP, word VARCHAR) WITH (time = at)")
    server.post("items", [{"id": i, "at": "2026-01-01 00:00:00", "word": "w"} for i in range(10)])
    return server


def ask(server, text):
    return server.request("POST", "/v1/sql", json.dumps({"sql": text}).encode(), {"Content-Type": JSON})


def test_every_known_escape_is_refused_by_name(test):
    """Each is a 4xx with a code, no file appears, and the next query is answered."""
    server = started(test)
    out = test.folder / "escaped"
    wrong = []
    for template in ESCAPES:
        text = template.replace("{out}", str(out)).replace("{lake}", str(server.data / "lake"))
        response = ask(server, text)
        if not 400 <= response.status < 500 or not response.problem_code():
            wrong.append(f"{text}: HTTP {response.status}: {clip(response.text(), 200)}")
        expect(server.alive(), f"the server died of {text}")
    expect(not wrong, f"{len(wrong)} were not refused:\n  " + "\n  ".join(wrong))
    expect(not out.exists(), f"{out} was written")
    expect_equal(server.sql_rows("SELECT count(*) FROM items"), [[10]], "the next query")
    expect_equal(server.sql_rows("SHOW STREAMS")[0][0], "items", "the stream")


def test_view_text_is_checked_as_strictly(test):
    """A view runs inside the server: no files, no clock, no randomness, no table functions, nothing unbounded."""
    server = started(test)
    for select in (
            "SELECT word, count(*) AS n FROM items WHERE word = (SELECT content FROM read_text('/etc/passwd')) GROUP BY word",
            "SELECT now() AS t, count(*) AS n FROM items GROUP BY t", "SELECT random() AS r, count(*) AS n FROM items GROUP BY r",
            "SELECT getenv('HOME') AS h, count(*) AS n FROM items GROUP BY h",
            "SELECT repeat(word, 1000000000) AS r, count(*) AS n FROM items GROUP BY r",
            "SELECT current_date AS d, count(*) AS n FROM items GROUP BY d", "SELECT uuid() AS u, count(*) AS n FROM items GROUP BY u",
            "SELECT word, count(*) AS n FROM items, range(1000) GROUP BY word", "SELECT word, count(*) AS n FROM read_csv('/etc/passwd') GROUP BY word"):
        response = ask(server, f"CREATE MATERIALIZED VIEW v AS {select}")
        expect(400 <= response.status < 500 and response.problem_code(),
               f"{select}: HTTP {response.status}: {clip(response.text())}")
    for select in ("SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM enable_logging('x')", "SELECT * FROM '/etc/passwd'"):
        response = ask(server, f"CREATE VIEW v AS {select}")
        expect(400 <= response.status < 500, f"plain view {select}: HTTP {response.status}: {clip(response.text())}")
    expect_equal(server.sql_rows("SELECT count(*) FROM items"), [[10]], "the next query")


def test_bombs_are_stopped_at_their_limits_and_others_are_served(test):
    """Time and memory of a query are bounded; the server and its other clients do not notice."""
    server = started(test, {"sql": {"deadline_ms": 1500, "memory_bytes_max": 268435456}})
    bombs = [
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 100000000) SELECT max(n) FROM t", {504}, {"MR1305"}),
        ("SELECT count(*) FROM range(10000000000) a, range(10000000000) b", {429, 504}, {"MR1305", "MR1306"}),
        ("SELECT list(a.range) FROM range(1000000000) a", {429, 504, 413, 400}, {"MR1305", "MR1306"}),
        ("SELECT repeat('x', 2000000000) || repeat('y', 2000000000)", {400, 403, 429, 504, 413}, None),
        ("SELECT a.range, repeat('x', 1000) FROM range(100000000) a ORDER BY 2, 1 DESC", {400, 403, 429, 504, 413}, None),
    ]
    for text, statuses, codes in bombs:
        begin = time.monotonic()
        response = ask(server, text)
        took = time.monotonic() - begin
        expect(response.status in statuses, f"{text}: HTTP {response.status}: {clip(response.text())}")
        expect(codes is None or response.problem_code() in codes, f"{text}: {response.problem_code()}")
        expect(took < 4.0, f"{text} was stopped after {took:.1f} s only")
        begin = time.monotonic()
        server.post("items", [{"id": 1, "at": "2026-01-01 00:00:00", "word": "w"}])
        expect(time.monotonic() - begin < 1.0, "a post after a bomb took long")
        expect(len(ask(server, "SELECT count(*) FROM items").ok()["rows"]) == 1, "the next query")


def test_what_is_allowed_works(test):
    """The list is not so strict that people cannot work: joins, windows, CTEs, JSON, regular expressions, dates."""
    server = started(test)
    cases = {
        "SELECT 1 + 1": [[2]],
        "SELECT upper(word) FROM items LIMIT 1": [["W"]],
        "SELECT count(*) FROM items a JOIN items b USING (id)": [[10]],
        "WITH t AS (SELECT id FROM items WHERE id > 6) SELECT sum(id) FROM t": [[24]],
        "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY id) AS n FROM items)": [[10]],
        "SELECT id FROM items WHERE id BETWEEN 2 AND 4 ORDER BY id DESC": [[4], [3], [2]],
        "SELECT sum(range) FROM range(5)": [[10]],
        "SELECT regexp_replace('abc', 'b', 'x')": [["axc"]],
        "SELECT CASE WHEN count(*) > 5 THEN 'many' ELSE 'few' END FROM items": [["many"]],
        "SELECT quantile_cont(id, 0.5) FROM items": [[4.5]],
    }
    for text, rows in cases.items():
        expect_equal([[int(v) if isinstance(v, str) and v.isdigit() else v for v in row] for row in server.sql_rows(text)],
                     rows, text)


def test_a_killed_worker_is_replaced_and_none_outlives_its_server(test):
    """Worker processes are disposable: each kill costs at most the query that it ran."""
    server = started(test)
    for _ in range(10):
        expect_equal(server.sql_rows("SELECT count(*) FROM items"), [[10]], "a query")
        workers = server.children()
        expect(workers, "no worker process runs")
        for worker in workers:
            try:
                os.kill(worker, signal.SIGKILL)
            except ProcessLookupError:
                pass
    expect_equal(server.sql_rows("SELECT count(*) FROM items"), [[10]], "the query after ten kills")
    workers = server.children()
    server.kill()
    deadline = time.monotonic() + 5.0
    while left := [worker for worker in workers if pathlib.Path(f"/proc/{worker}").exists()]:
        expect(time.monotonic() < deadline, f"worker processes {left} outlive their server")
        time.sleep(0.02)
