"""Sinks: a PostgreSQL and a Redis are kept equal to views, whatever is stopped, killed or emptied meanwhile."""
import contextlib
import datetime
import decimal
import json
import threading
import time
import uuid

from harness import ApiError, NoAnswer, expect, expect_equal
from stores import Postgres, Redis, RedisError, running, wait_for
from pg_clients import driver

KEYS = 300


def postgres():
    return Postgres(driver("psycopg"))


def sink(server, name):
    answer = server.sql("SHOW SINKS")
    names = [column["name"] for column in answer["columns"]]
    return next(row for row in (dict(zip(names, values)) for values in answer["rows"]) if row["name"] == name)


def up_to_date(server, name):
    shown = sink(server, name)
    return shown["state"] == "running" and int(shown["lag_events"]) == 0 and int(shown["lag_ms"]) == 0


def wait_up_to_date(server, name, timeout=60):
    try:
        wait_for(f"sink {name} up to date", lambda: up_to_date(server, name), timeout)
    except AssertionError as error:
        raise AssertionError(f"{error}: {sink(server, name)}") from error


def refused(server, sql):
    try:
        server.sql(sql)
    except ApiError as error:
        return error.code, error.response.text()
    raise AssertionError(f"was taken: {sql}")


class Load:
    """Posts events until it is stopped, over restarts of the server; knows how many may be there."""

    def __init__(self, server, rng):
        self.server = server
        self.rng = rng
        self.sent = 0  # counted before it is posted
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        connection = None
        while not self.end.is_set():
            events = [{"k": self.rng.randrange(KEYS), "x": self.rng.randrange(10)} for _ in range(50)]
            self.sent += len(events)
            try:
                if connection is None:
                    connection = self.server.connect(timeout=20)
                connection.post_lines("e", events)
            except (NoAnswer, OSError):
                connection = None
                time.sleep(0.05)
            time.sleep(0.004)

    def stop(self):
        self.end.set()
        self.thread.join()


class Reader:
    """Reads the store again and again; what it must never see is what `look` tells. Knows how often it looked."""

    def __init__(self, look):
        self.look = look
        self.looks = 0
        self.whole = 0
        self.faults = []
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.end.is_set() and len(self.faults) < 5:
            self.look(self)
            self.end.wait(0.01)

    def stop(self):
        self.end.set()
        self.thread.join()
        expect(not self.faults, f"a reader of the store saw: {self.faults}")


def position_of(token):
    """Events of one stream, of "1.7.120-98"."""
    return sum(int(offset) for offset in token.split(".")[2].split("-")) if token else 0


STREAM = "CREATE STREAM e (k BIGINT, x BIGINT) WITH (partitions = 2)"
BY_KEY = "CREATE MATERIALIZED VIEW by_key AS SELECT k, count(*) AS n, sum(x) AS s FROM e GROUP BY k"
# Its keys come and go.
ODD = "CREATE MATERIALIZED VIEW odd AS SELECT k, count(*) AS n FROM e GROUP BY k HAVING sum(x) % 2 = 1"


def rows_of_view(server, view, columns):
    return sorted(tuple(int(value) for value in row)
                  for row in server.sql_rows(f"SELECT {columns} FROM {view}"))


def start_views(test):
    server = test.server()
    server.restart_on_the_same_port = True
    server.start()
    for statement in (STREAM, BY_KEY, ODD):
        server.sql(statement)
    return server


def postgres_look(store, load, cleared):
    """In one transaction: where the state says that it is whole, the counts are those of its token, to the event.
    While somebody else has cleared the table, which the sink has yet to find, it may be empty."""
    def look(reader):
        with contextlib.suppress(store.psycopg.Error, OSError), store.connect() as db:
            with db.transaction():
                db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                state = db.execute("SELECT token, whole FROM millrace_sinks WHERE target LIKE '%by_key%'").fetchone()
                rows, keys, total = db.execute(
                    "SELECT count(*), count(DISTINCT k), coalesce(sum(n), 0)::bigint FROM by_key").fetchone()
            sent = load().sent
            reader.looks += 1
            if rows != keys:
                reader.faults.append(f"{rows} rows of {keys} keys")
            if total > sent:
                reader.faults.append(f"{total} events of {sent}")
            if state is not None and state[1]:
                reader.whole += 1
                if position_of(state[0]) != total and not (total == 0 and cleared.is_set()):
                    reader.faults.append(f"{total} events at {state[0]}")
    return look


def trouble(test, server, store, names, rounds):
    """Each round does its harm and waits until the sinks are up to date again."""
    for number, (what, harm) in enumerate(rounds):
        begin = time.monotonic()
        time.sleep(0.3)
        harm()
        for name in names:
            wait_for(f"sink {name} after: {what}", lambda: int(sink(server, name)["commits"]) > 0 and
                     sink(server, name)["state"] == "running")
        test.note(f"{number}: {what}: running again after {time.monotonic() - begin:.1f} s")


def restart_server(server):
    server.kill()
    server.start()


def stop_and_start(store, pause=0.0):
    store.stop()
    time.sleep(pause)
    store.start()


def stand_still(store):
    """Connections stay, and nothing answers."""
    with store.frozen():
        time.sleep(2)


def kill_and_start(store):
    store.kill()
    store.start()


def test_a_table_of_postgresql_equals_the_view_through_everything(test):
    """Under load PostgreSQL is stopped, killed, stands still, is emptied, its table cleared, and Millrace killed: never a wrong sum."""
    with running(postgres()) as store:
        server = start_views(test)
        server.sql(f"CREATE SINK by_key INTO '{store.url('by_key')}' AS SELECT k, n, s FROM by_key")
        server.sql(f"CREATE SINK odd INTO '{store.url('public.odd')}' AS SELECT n AS total, k AS key FROM odd WHERE n > 1")
        load = Load(server, test.rng)
        wait_up = ["by_key", "odd"]
        for name in wait_up:
            wait_for("the first commit", lambda: int(sink(server, name)["commits"]) > 0)
        cleared = threading.Event()
        reader = Reader(postgres_look(store, lambda: load, cleared))

        def clear():
            cleared.set()
            store.run("TRUNCATE by_key")
            wait_for("rows again", lambda: store.rows("SELECT count(*) FROM by_key")[0][0] > 0)
            cleared.clear()

        def both():
            store.kill()
            server.kill()
            store.start()
            server.start()
        trouble(test, server, store, wait_up, [
            ("Millrace is killed", lambda: restart_server(server)),
            ("PostgreSQL is restarted", lambda: stop_and_start(store)),
            ("PostgreSQL is killed", lambda: kill_and_start(store)),
            ("PostgreSQL stands still", lambda: stand_still(store)),
            ("a batch run", server.run_batch),
            ("the table is cleared", clear),
            ("PostgreSQL comes back empty", store.empty),
            ("both are killed", both),
            ("the table is dropped", lambda: store.run("DROP TABLE odd")),
            ("PostgreSQL is away for a while", lambda: stop_and_start(store, 2)),
            ("Millrace is killed again", lambda: restart_server(server))])
        load.stop()
        for name in wait_up:
            wait_up_to_date(server, name)
        expect_equal(sorted(store.rows("SELECT k, n, s::bigint FROM by_key")),
                     rows_of_view(server, "by_key", "k, n, s"), "the table at the end")
        expect_equal(sorted(store.rows("SELECT total, key FROM odd")),
                     rows_of_view(server, "odd WHERE n > 1", "n, k"), "the other table at the end")
        reader.stop()
        expect(reader.whole > 50, f"a reader saw {reader.whole} whole states of {reader.looks}")
        test.note(f"{reader.looks} looks, {reader.whole} of them whole; {load.sent} events")


# What a reader of Redis sees in one step.
LOOK = """
local total, rows = 0, 0
for _, key in ipairs(redis.call('KEYS', 'by_key:*')) do
  if key ~= 'by_key:%state' and key ~= 'by_key:%stage' then
    total = total + redis.call('HGET', key, 'n')
    rows = rows + 1
  end
end
local state = redis.call('HMGET', 'by_key:%state', 'token', 'whole')
return {total, rows, state[1] or '', state[2] or ''}
"""


def redis_look(store, load):
    def look(reader):
        with contextlib.suppress(OSError, RedisError, ConnectionError), store.connect() as redis:
            total, rows, token, whole = redis("EVAL", LOOK, 0)
            sent = load().sent
            reader.looks += 1
            if total > sent:
                reader.faults.append(f"{total} events of {sent}")
            if rows > KEYS:
                reader.faults.append(f"{rows} rows")
            if whole == "1":
                reader.whole += 1
                if position_of(token) != total:
                    reader.faults.append(f"{total} events at {token}")
    return look


def redis_rows(store, prefix, columns):
    with store.connect() as redis:
        keys = [key for key in redis("KEYS", f"{prefix}:*") if not key.startswith(f"{prefix}:%")]
        return sorted(tuple(int(redis.hash(key)[column]) for column in columns) for key in keys)


def test_keys_of_redis_equal_the_view_through_everything(test):
    """Under load Redis is stopped, killed, stands still, is emptied and cleared, and Millrace killed: never a wrong sum."""
    with running(Redis(test.folder, password="top secret")) as store:
        server = start_views(test)
        for name, select in (("by_key", "SELECT k, n, s FROM by_key"), ("odd", "SELECT k, n FROM odd")):
            server.sql(f"CREATE SINK {name} INTO '{store.url(name)}' WITH (password = 'top secret') AS {select}")
        load = Load(server, test.rng)
        names = ["by_key", "odd"]
        for name in names:
            wait_for("the first commit", lambda: int(sink(server, name)["commits"]) > 0)
        reader = Reader(redis_look(store, lambda: load))

        def clear():
            with store.connect() as redis:
                redis("FLUSHALL")

        def save_and_kill():
            with store.connect() as redis:
                redis("SAVE")
            time.sleep(0.5)
            kill_and_start(store)
        trouble(test, server, store, names, [
            ("Millrace is killed", lambda: restart_server(server)),
            ("Redis comes back empty", lambda: kill_and_start(store)),
            ("Redis stands still", lambda: stand_still(store)),
            ("Redis is cleared", clear),
            ("Redis comes back as it was some time ago", save_and_kill),
            ("a batch run", server.run_batch),
            ("Redis is away for a while", lambda: stop_and_start(store, 2)),
            ("Millrace is killed again", lambda: restart_server(server))])
        load.stop()
        for name in names:
            wait_up_to_date(server, name)
        wait_for("what was cleared", lambda: redis_rows(store, "by_key", ("k", "n", "s")) ==
                 rows_of_view(server, "by_key", "k, n, s"))
        expect_equal(redis_rows(store, "odd", ("k", "n")), rows_of_view(server, "odd", "k, n"), "the other keys")
        reader.stop()
        expect(reader.whole > 50, f"a reader saw {reader.whole} whole states of {reader.looks}")
        test.note(f"{reader.looks} looks, {reader.whole} of them whole; {load.sent} events")
        expect("top secret" not in json.dumps(server.sql("SHOW SINKS")), "a password is shown")
        expect("top secret" not in server.stderr(), "a password is in the log")


TYPED = ("CREATE STREAM t (k VARCHAR, b BOOLEAN, i INTEGER, u UBIGINT, d DOUBLE, m DECIMAL(9,2), day DATE, "
         "seen TIMESTAMP, z TIMESTAMPTZ, id UUID, j JSON, raw BLOB)")
TYPED_VIEW = ("CREATE MATERIALIZED VIEW typed AS SELECT k, max(b) AS b, max(i) AS i, max(u) AS u, max(d) AS d, "
              "max(m) AS m, max(day) AS day, max(seen) AS seen, max(z) AS z, max(id) AS id, count(*) AS n FROM t GROUP BY k")


def test_values_of_all_types_reach_the_stores_as_they_are(test):
    """NULL in keys and values, quotes, text beyond ASCII, wide numbers; expressions, names, other formats."""
    with running(postgres()) as store, running(Redis(test.folder)) as redis_store:
        server = test.server().start()
        server.sql(TYPED)
        server.sql(TYPED_VIEW)
        server.post("t", [
            {"k": "plain", "b": True, "i": -5, "u": 18446744073709551615, "d": 0.1, "m": "12.30", "day": "2026-02-28",
             "seen": "2026-02-28T12:00:00.25Z", "z": "2026-02-28T12:00:00Z", "id": "00000000-0000-0000-0000-00000000000a"},
            {"k": None, "i": 1}, {"k": "it's \"é\":%", "d": float("1e300")}, {"k": ""}])
        server.sql(f"CREATE SINK typed INTO '{store.url('typed')}' AS SELECT *, upper(k) AS big, n * 2 AS twice FROM typed")
        server.sql(f"CREATE SINK hashes INTO '{redis_store.url('typed')}' AS SELECT k, d, n, i, b FROM typed")
        server.sql(f"CREATE SINK texts INTO '{redis_store.url('json')}' WITH (format = 'json') "
                   "AS SELECT k AS name, u, i FROM typed")
        for name in ("typed", "hashes", "texts"):
            wait_up_to_date(server, name)
        rows = {row[0]: row for row in store.rows("SELECT k, b, i, u, d, m, day, seen, z, id, n, big, twice FROM typed")}
        expect_equal(rows["plain"], (
            "plain", True, -5, decimal.Decimal(18446744073709551615), 0.1, decimal.Decimal("12.30"),
            datetime.date(2026, 2, 28), datetime.datetime(2026, 2, 28, 12, 0, 0, 250000),
            datetime.datetime(2026, 2, 28, 12, tzinfo=datetime.timezone.utc), uuid.UUID(int=10), 1, "PLAIN", 2), "a row")
        expect_equal((rows[None][2], rows[None][10]), (1, 1), "the row of NULL")
        expect_equal(rows["it's \"é\":%"][4], 1e300, "the row of a strange key")
        with redis_store.connect() as redis:
            expect_equal(redis.hash("typed:plain"), {"k": "plain", "d": "0.1", "n": "1", "i": "-5", "b": "true"}, "a hash")
            expect_equal(redis.hash("typed:%"), {"n": "1", "i": "1"}, "the hash of NULL")
            expect_equal(redis.hash("typed:it's \"é\"%3A%25")["n"], "1", "the hash of a strange key")
            expect_equal(redis.hash("typed:")["n"], "1", "the hash of an empty key")
            expect_equal(json.loads(redis("GET", "json:plain")), {"name": "plain", "u": "18446744073709551615", "i": -5},
                         "a text")
        server.post("t", [{"k": None, "d": 2.5}, {"k": "plain", "i": 7}])
        for name in ("typed", "hashes", "texts"):
            wait_up_to_date(server, name)
        expect_equal(store.rows("SELECT n, d FROM typed WHERE k IS NULL"), [(2, 2.5)], "NULL again")
        with redis_store.connect() as redis:
            expect_equal(redis.hash("typed:%"), {"n": "2", "i": "1", "d": "2.5"}, "the hash of NULL again")
        expect_equal(len(store.rows("SELECT FROM typed")), 4, "rows")


def test_views_of_other_shapes_reach_a_table(test):
    """One row without a key, several keys, sessions that grow together, rows that come and go."""
    with running(postgres()) as store:
        server = test.server().start()
        server.sql("CREATE STREAM e (t TIMESTAMP, k BIGINT, c VARCHAR, x BIGINT) WITH (time = t)")
        views = {"whole": "SELECT count(*) AS n, max(x) AS m FROM e",
                 "pairs": "SELECT c, k, count(*) AS n FROM e GROUP BY c, k",
                 "sessions": "SELECT k, session(t, INTERVAL 10 MINUTES) AS start, count(*) AS n FROM e GROUP BY k, start",
                 "few": "SELECT k, sum(x) AS s FROM e GROUP BY k HAVING sum(x) > 0"}
        for name, select in views.items():
            server.sql(f"CREATE MATERIALIZED VIEW {name} AS {select}")
            server.sql(f"CREATE SINK {name} INTO '{store.url(name)}' AS SELECT * FROM {name}")

        def same():
            for name in views:
                wait_up_to_date(server, name)
                there = sorted(json.dumps([str(value) for value in row]) for row in store.rows(f"SELECT * FROM {name}"))
                here = sorted(json.dumps([str(value).replace("T", " ").replace("Z", "") for value in row])
                              for row in server.sql_rows(f"SELECT * FROM {name}"))
                expect_equal(there, here, name)
        same()
        minutes = list(range(0, 60, 15)) + list(range(0, 60, 5))
        for number, minute in enumerate(minutes):
            server.post("e", [{"t": f"2026-01-01T08:{minute:02}:00Z", "k": key, "c": f"c{key % 2}", "x": (number % 3) - 1}
                              for key in range(number % 4 + 1)])
            if number % 4 == 0:
                same()
        same()
        server.run_batch()
        same()


def test_what_cannot_be_a_sink_is_refused_with_the_reason(test):
    """The SELECT, the address, the table that is somebody else's; a sink keeps its view, and a stop is told."""
    with running(postgres()) as store, running(Redis(test.folder)) as redis_store:
        server = test.server().start()
        server.sql(STREAM)
        server.sql(BY_KEY)
        server.sql("CREATE MATERIALIZED VIEW names AS SELECT concat('k', k) AS name, max(x) AS x FROM e GROUP BY name")
        url = store.url("t")
        for select, code, words in [
                ("SELECT n FROM by_key", "MR1402", "k of the view's group key is not selected"),
                ("SELECT k, sum(n) AS n FROM by_key GROUP BY k", "MR1402", "GROUP BY"),
                ("SELECT k, n FROM by_key LIMIT 5", "MR1402", "LIMIT"),
                ("SELECT k + 1 AS k, n FROM by_key", "MR1402", "not selected"),
                ("SELECT k, n * 2 FROM by_key", "MR1402", "no name"),
                ("SELECT k, n AS k FROM by_key", "MR1402", "two columns"),
                ("SELECT k, (SELECT 1) AS one FROM by_key", "MR1402", "subquery"),
                ("SELECT k, x FROM e", "MR1202", "no materialized view"),
                ("SELECT k, read_text('/etc/passwd') AS x FROM by_key", "MR1301", "read_text")]:
            got, text = refused(server, f"CREATE SINK s INTO '{url}' AS {select}")
            expect(got == code and words in text, f"{select}: {text}")
        for address, words in [("mysql://u@h/d/t", "postgres://"), ("postgres://u:pw@h/d/t", "no password"),
                               ("postgres://h/d/t", "a user"), ("postgres://u@h/d", "too early"),
                               ("redis://h/x/p", "number"), ("redis://h/0/", "begin")]:
            got, text = refused(server, f"CREATE SINK s INTO '{address}' AS SELECT * FROM by_key")
            expect(got == "MR1005" and words in text and "pw" not in text.replace("pw@", ""), f"{address}: {text}")
        server.sql(f"CREATE SINK s INTO '{url}' AS SELECT * FROM by_key")
        got, text = refused(server, f"CREATE SINK other INTO '{url}' AS SELECT * FROM by_key")
        expect_equal(got, "MR1205", text)
        expect_equal(refused(server, "DROP MATERIALIZED VIEW by_key")[0], "MR1205", "dropping the view")
        wait_up_to_date(server, "s")

        store.run("CREATE TABLE mine (k bigint, n bigint)")
        server.sql(f"CREATE SINK mine INTO '{store.url('mine')}' AS SELECT k, n FROM by_key")
        wait_for("a stop", lambda: sink(server, "mine")["state"] == "stopped")
        expect("was not made by a sink" in sink(server, "mine")["error"], sink(server, "mine")["error"])
        with redis_store.connect() as redis:
            redis("SET", "mine:1", "precious")
        server.sql(f"CREATE SINK keys INTO '{redis_store.url('mine')}' AS SELECT k, n FROM by_key")
        wait_for("a stop", lambda: sink(server, "keys")["state"] == "stopped")
        with redis_store.connect() as redis:
            expect_equal(redis("GET", "mine:1"), "precious", "somebody else's key")
            redis("DEL", "mine:1")
        server.sql("RESUME SINK keys")
        wait_up_to_date(server, "keys")

        # A row that the store cannot have stops its sink alone.
        server.sql(f"CREATE SINK names INTO '{store.url('names')}' AS SELECT name, x FROM names")
        wait_up_to_date(server, "names")
        store.run("ALTER TABLE names ADD CHECK (x < 100)")
        server.post("e", [{"k": 1, "x": 5}, {"k": 2, "x": 500}])
        wait_for("a stop", lambda: sink(server, "names")["state"] == "stopped")
        expect("23514" in sink(server, "names")["error"], sink(server, "names")["error"])
        wait_up_to_date(server, "s")
        store.run("ALTER TABLE names DROP CONSTRAINT names_x_check")
        server.sql("RESUME SINK names")
        wait_up_to_date(server, "names")
        expect_equal(sorted(store.rows("SELECT * FROM names")), [("k1", 5), ("k2", 500)], "after RESUME")

        server.sql("PAUSE SINK names")
        server.post("e", [{"k": 3, "x": 1}])
        server.kill()
        server.start()
        expect_equal(sink(server, "names")["state"], "paused", "the state after a restart")
        server.sql("RESUME SINK names")
        wait_up_to_date(server, "names")
        expect_equal(len(store.rows("SELECT FROM names")), 3, "rows after RESUME")
        expect_equal(server.metric("millrace_sink_rows_total") > 0, True, "the metric")
        expect_equal([row[0] for row in server.sql_rows("SELECT state FROM millrace.sinks WHERE name = 's'")],
                     ["running"], "the system view")
        server.sql("DROP SINK s")
        server.sql("DROP SINK IF EXISTS s")
        expect_equal(refused(server, "DROP SINK s")[0], "MR1401", "dropping it again")
        expect_equal(len(store.rows("SELECT FROM t")), 3, "the table stays")


def test_a_table_of_another_database_is_joined_and_read_again(test):
    """Its rows are reference data; a change there rebuilds the views here, the same rows change nothing."""
    with running(postgres()) as store:
        store.run("CREATE TABLE device (k bigint PRIMARY KEY, place text, since timestamptz, rate numeric(6,2))")
        store.run("INSERT INTO device VALUES (1, 'Oslo', '2026-01-01 10:00+01', 1.5), (2, 'Lima', NULL, NULL)")
        server = test.server().start()
        server.sql(STREAM)
        server.sql(f"CREATE TABLE device FROM '{store.url('device')}' WITH (refresh = '1 second')")
        expect_equal(server.sql_rows("SELECT k, place, CAST(rate AS VARCHAR) FROM device ORDER BY k"),
                     [[1, "Oslo", "1.50"], [2, "Lima", None]], "the table")
        server.sql("CREATE MATERIALIZED VIEW by_place AS SELECT place, count(*) AS n FROM e JOIN device USING (k) "
                   "GROUP BY place")
        server.post("e", [{"k": 1, "x": 1}, {"k": 2, "x": 1}, {"k": 1, "x": 1}])
        expect_equal(sorted(server.sql_rows("SELECT * FROM by_place")), [["Lima", 1], ["Oslo", 2]], "the join")

        def version():
            return server.sql_rows("SELECT version FROM millrace.tables WHERE name = 'device'")[0][0]
        first = version()
        store.run("UPDATE device SET place = place")  # other rows to PostgreSQL, the same to us
        time.sleep(2.5)
        expect_equal(version(), first, "the version when nothing changed")
        store.run("UPDATE device SET place = 'Quito' WHERE k = 2")
        wait_for("the new name", lambda: sorted(server.sql_rows("SELECT * FROM by_place")) == [["Oslo", 2], ["Quito", 1]])
        store.kill()
        server.kill()
        server.start()
        expect_equal(len(server.sql_rows("SELECT * FROM device")), 2, "rows while the other database is away")
        store.start()
        store.run("DELETE FROM device WHERE k = 2")
        wait_for("the row that went", lambda: len(server.sql_rows("SELECT * FROM device")) == 1)
        got, text = refused(server, f"CREATE TABLE none FROM '{store.url('nothing')}'")
        expect("nothing" in text, text)
