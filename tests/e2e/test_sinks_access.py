"""Who may see and make sinks, and what nobody sees: the passwords of the stores."""
import json

from harness import JSON, clip, expect, expect_equal
from pg_clients import driver, psql
from stores import Postgres, Redis, free_port, running, wait_for
from test_access import basic
from test_sinks import BY_KEY, STREAM, redis_rows, rows_of_view, sink, wait_up_to_date

SECRET = "hush-Hush-7"  # that is right
WRONG = "hush-Nope-8"
# Where each begins; no answer and no log may have it.
MARK = "hush-"
RULES = ["local all all trust", "host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"]


def attempts(port):
    """Statements with a password where none belongs, or in a place that is not quite right."""
    select = "AS SELECT k, n FROM by_key"
    there = f"postgres://shop@127.0.0.1:{port}/postgres/t"
    for url in (f"postgres://shop:{SECRET}@127.0.0.1:{port}/postgres/t", f"postgres://shop:{SECRET}@h", f"postgres://:{SECRET}@h/d/t",
                f"postgres://shop:{SECRET}/x@h/d/t", f"postgres://shop:{SECRET}@h:port/d/t", f"{there}?password={SECRET}",
                f"postgres://h/d?user=shop&password={SECRET}/t", f"postgres://shop:{SECRET}%zz@h/d/t",
                f"postgresql://shop:{SECRET}@h/d/t", f"redis://:{SECRET}@h:6379/0/p", f"rediss://me:{SECRET}@h/0/p",
                f"redis://h/0/p?password={SECRET}", f"mysql://shop:{SECRET}@h/d/t", f"{there}#{SECRET}"):
        yield f"CREATE SINK s INTO '{url}' {select}"
        yield f"CREATE SINK s INTO \"{url}\" {select}"
        yield f"CREATE TABLE device FROM '{url}'"
        yield f"CREATE TABLE device (k BIGINT) FROM '{url}' WITH (refresh = '1 minute')"
    for options in (f"password '{SECRET}'", f"password = \"{SECRET}\"", f"password = '{SECRET}", f"pasword = '{SECRET}'",
                    f"password = '{SECRET}', password = '{SECRET}'", f"password = '{SECRET}', tls = '{SECRET}'",
                    f"password = '{SECRET}' tls = 'require'", f"password: '{SECRET}'", f"password = '{SECRET}', no = ''",
                    f"password = '{SECRET}', password_file = '/etc/hostname'", f"password = '{SECRET}', ca_file = ",
                    f"password = '{SECRET}', format = 'json'"):
        yield f"CREATE SINK s INTO '{there}' WITH ({options}) {select}"
        yield f"CREATE TABLE device FROM '{there}' WITH ({options})"
    for rest in ("", select.replace("by_key", "nothing"), select.replace(" n ", " n + "), "SELECT k FROM by_key",
                 f"{select} LIMIT 1", select.replace("k, n", "no, n")):
        yield f"CREATE SINK s INTO '{there}' WITH (password = '{SECRET}') {rest}"
    yield f"CREATE SNIK s INTO '{there}' WITH (password = '{SECRET}') {select}"
    yield f"ALTER SINK s SET (password = '{SECRET}')"


def test_passwords_of_stores_are_in_no_answer_and_no_log(test):
    """Right, wrong, in the address or in a wrong place: neither lists, errors, logs, metrics nor files of others have them."""
    with running(Postgres(driver("psycopg"), rules=RULES)) as store, running(Redis(test.folder, SECRET)) as redis:
        store.run(f"CREATE USER shop PASSWORD '{SECRET}'; GRANT ALL ON SCHEMA public TO shop")
        server = test.server().start()
        for statement in (STREAM, BY_KEY):
            server.sql(statement)
        server.post("e", [{"k": n % 7, "x": n} for n in range(50)])
        tried = 0
        for statement in attempts(store.port):
            answer = server.request("POST", "/v1/sql", json.dumps({"sql": statement}).encode(), {"Content-Type": JSON})
            expect(answer.status != 200, f"was taken: {statement}")
            expect(MARK not in answer.text(), f"{statement}: {answer.text()}")
            code, out, err = psql(server.postgres_url, statement)
            expect(code != 0 and MARK not in out, f"{statement}: {out}")
            # psql itself repeats a line that has an error; all else is the server's.
            said = [line for line in err.splitlines() if not line.startswith("LINE ")]
            expect(MARK not in "\n".join(said), f"{statement}: {err}")
            tried += 2
        test.note(f"{tried} statements that are refused")

        (test.folder / "word").write_text(SECRET + "\n")
        (test.folder / "wrong").write_text(WRONG + "\n")
        url = store.url("{}").replace("postgres@", "shop@")
        for name, to, options in [
                ("direct", url.format("direct"), f"password = '{SECRET}'"),
                ("by_file", url.format("by_file"), f"password_file = '{test.folder / 'word'}'"),
                ("wrong", url.format("wrong"), f"password = '{WRONG}'"),
                ("wrong_file", url.format("wrong_file"), f"password_file = '{test.folder / 'wrong'}'"),
                ("no_file", url.format("no_file"), f"password_file = '{test.folder / 'nothing'}'"),
                ("keys", redis.url("keys"), f"password = '{SECRET}'"),
                ("wrong_keys", redis.url("wrong"), f"password = '{WRONG}'"),
                ("away", f"postgres://shop@127.0.0.1:{free_port()}/postgres/t", f"password = '{SECRET}'")]:
            server.sql(f"CREATE SINK {name} INTO '{to}' WITH ({options}) AS SELECT k, n, s FROM by_key")
        for name in ("direct", "by_file", "keys"):
            wait_up_to_date(server, name)
        expect_equal(sorted(store.rows("SELECT k, n, s::bigint FROM by_file")), rows_of_view(server, "by_key", "k, n, s"), "a table")
        expect_equal(redis_rows(redis, "keys", ("k", "n", "s")), rows_of_view(server, "by_key", "k, n, s"), "the keys")
        for name, words in [("wrong", "password authentication failed for user \"shop\""), ("wrong_file", "password authentication"),
                            ("no_file", f"no password can be read from the first line of {test.folder / 'nothing'}"),
                            ("wrong_keys", "WRONGPASS"), ("away", "Connection refused")]:
            wait_for(f"an error of sink {name}", lambda: sink(server, name)["error"])
            expect(words in sink(server, name)["error"], sink(server, name))
        # A file that was wrong is read again, without a statement.
        (test.folder / "wrong").write_text(SECRET + "\n")
        wait_up_to_date(server, "wrong_file")

        store.run("CREATE TABLE device (k bigint); GRANT SELECT ON device TO shop")
        device = f"CREATE TABLE device FROM '{url.format('device')}' WITH (refresh = '1 second', password_file = '%s')"
        (test.folder / "wrong").write_text(WRONG + "\n")
        answer = server.request("POST", "/v1/sql", json.dumps({"sql": device % (test.folder / "wrong")}).encode(),
                                {"Content-Type": JSON})
        expect("password authentication failed" in answer.text() and MARK not in answer.text(), answer.text())
        server.sql(device % (test.folder / "word"))

        def looks():
            for statement in ("SHOW SINKS", "SHOW TABLES", "SHOW VIEWS", "SELECT * FROM millrace.sinks", "SELECT * FROM millrace.tables",
                              "SELECT * FROM millrace.views", "SELECT * FROM millrace.jobs", "SELECT * FROM pg_stat_activity"):
                yield statement, json.dumps(server.sql(statement))
            for path in ("/metrics", "/v1/views", "/v1/streams", "/v1/batch", "/v1/openapi.json"):
                yield path, server.get(path).text()
            yield "the log", server.stderr() + server.stdout()
            yield "the log of PostgreSQL", store.log().replace(f"PASSWORD '{SECRET}'", "")
            yield "the log of Redis", redis.log()
            yield "the state in PostgreSQL", repr(store.rows("SELECT * FROM millrace_sinks"))
            yield "comments in PostgreSQL", repr(store.rows("SELECT description FROM pg_description"))
            yield "what PostgreSQL runs", repr(store.rows("SELECT * FROM pg_stat_activity"))
            with redis.connect() as client:
                yield "the state in Redis", repr(client.hash("keys:%state"))
        for _ in range(2):
            for what, text in looks():
                expect(MARK not in text, f"{what} has a password: {clip(text, 3000)}")
            # Afterwards the passwords come out of the catalog.
            server.kill()
            server.start()
            for name in ("direct", "by_file", "keys"):
                wait_up_to_date(server, name)
        for path in server.data.rglob("*"):
            if path.is_file() and MARK.encode() in path.read_bytes():
                expect_equal(path.stat().st_mode & 0o077, 0, f"{path.relative_to(server.data)} has a password: who may read it")


def test_only_administrators_see_and_change_sinks(test):
    """A user who may read the view, or do everything with it but be an administrator, learns nothing of its sink."""
    with running(Postgres(driver("psycopg"))) as store:
        server = test.server().start()
        for statement in (STREAM, BY_KEY):
            server.sql(statement)
        server.sql("CREATE USER root WITH PASSWORD 'Root-Secret-Word'")
        root, reader = basic("root", "Root-Secret-Word"), basic("reader", "Reader-Secret-Word")

        def sql(who, statement):
            return server.request("POST", "/v1/sql", json.dumps({"sql": statement}).encode(),
                                  {"Content-Type": JSON, **({"Authorization": who} if who else {})})

        def rows(who, statement):
            answer = sql(who, statement).ok()
            return [dict(zip((column["name"] for column in answer["columns"]), row)) for row in answer["rows"]]
        for statement in ("CREATE USER reader WITH PASSWORD 'Reader-Secret-Word'", "GRANT SELECT, SUBSCRIBE, PUBLISH ON ALL TO reader",
                          f"CREATE SINK kept INTO '{store.url('kept')}' AS SELECT k, n FROM by_key"):
            expect_equal(sql(root, statement).status, 200, statement)
        wait_for("the table", lambda: rows(root, "SHOW SINKS")[0]["state"] == "running")
        expect_equal(sql(reader, "SELECT * FROM by_key").status, 200, "the reader reads the view")
        statements = [f"CREATE SINK mine INTO '{store.url('mine')}' AS SELECT k, n FROM by_key",
                      f"CREATE SINK IF NOT EXISTS kept INTO '{store.url('mine')}' AS SELECT k, n FROM by_key",
                      "CREATE SINK mine INTO 'nonsense' AS SELECT k FROM nothing", "PAUSE SINK kept", "PAUSE SINK none",
                      "RESUME SINK kept", "DROP SINK kept", "DROP SINK IF EXISTS none", "SHOW SINKS",
                      f"CREATE TABLE mine FROM '{store.url('kept')}'"]
        for who, status in ((reader, 403), (None, 401)):
            for statement in statements:
                answer = sql(who, statement)
                expect_equal(answer.status, status, f"{statement}: {answer.text()}")
                expect(str(store.port) not in answer.text() and "none" not in answer.text(), answer.text())
        expect_equal(rows(reader, "SELECT * FROM millrace.sinks"), [], "the system view, to a reader")
        metrics = server.request("GET", "/metrics", None, {"Authorization": reader})
        expect("kept" not in metrics.text(), "the metrics, to a reader")
        # The view's keeper is named to administrators alone.
        answer = sql(reader, "DROP MATERIALIZED VIEW by_key")
        expect(answer.status == 403 and "kept" not in answer.text(), answer.text())
        answer = sql(root, "DROP MATERIALIZED VIEW by_key")
        expect("sink kept" in answer.text(), answer.text())
        expect_equal([(row["name"], row["state"]) for row in rows(root, "SELECT * FROM millrace.sinks")], [("kept", "running")],
                     "the system view, to an administrator")
        expect_equal(store.rows("SELECT to_regclass('mine')"), [(None,)], "a table of somebody who may not")
