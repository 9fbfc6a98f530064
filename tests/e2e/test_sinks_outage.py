"""What a store that is away costs and tells, and what PAUSE, DROP and a second sink of the same table do."""
import pathlib
import re

from harness import expect, expect_equal
from pg_clients import driver
from stores import Postgres, Redis, running, wait_for
from test_sinks import BY_KEY, STREAM, redis_rows, rows_of_view, sink, wait_up_to_date

KEYS = 4_000
# Of posting while the stores run, and while they stand still.
ROUNDS_RUNNING = 8
ROUNDS_STILL = 32
TEXT_BYTES = 1_000
# What the buffers on the way to two stores may take beside what as many events cost in any case; the changes that come while
# the stores stand still are 256 MB.
BUFFERS_MAX = 112 << 20
WIDE = ("CREATE STREAM e (k BIGINT, x BIGINT, t VARCHAR) WITH (partitions = 2)",
        "CREATE MATERIALIZED VIEW by_key AS SELECT k, count(*) AS n, sum(x) AS s, max(t) AS t FROM e GROUP BY k")


def resident_bytes(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) << 10


def post_round(connection, number):
    """An event for each key, whose text is another then."""
    text = f"{number:04}".ljust(TEXT_BYTES, "x")
    for begin in range(0, KEYS, 1000):
        answer = connection.post_lines("e", [{"k": key, "x": number, "t": text} for key in range(begin, begin + 1000)]).ok()
        expect_equal(answer["accepted"], 1000, "events")


def table_is_the_view(store, server, name, columns="k, n, s::bigint"):
    expect_equal(sorted(store.rows(f"SELECT {columns} FROM {name}")), rows_of_view(server, "by_key", "k, n, s"), f"the table {name}")


def test_a_store_that_is_away_costs_no_memory_and_is_told(test):
    """Stores stand still while every row changes again and again: memory stays, lag and error tell, then all is made up."""
    with running(Postgres(driver("psycopg"))) as store, running(Redis(test.folder)) as redis:
        server = test.server().start()
        for statement in WIDE:
            server.sql(statement)
        connection = server.connect()
        post_round(connection, 0)
        server.sql(f"CREATE SINK rows INTO '{store.url('rows')}' AS SELECT * FROM by_key")
        server.sql(f"CREATE SINK keys INTO '{redis.url('keys')}' AS SELECT * FROM by_key")
        names = ("rows", "keys")
        for name in names:
            wait_up_to_date(server, name)
            expect(sink(server, name)["error"] is None, sink(server, name))

        def growth(rounds):
            begin = resident_bytes(server)
            for number in rounds:
                post_round(connection, number)
            return resident_bytes(server) - begin
        running_growth = growth(range(1, ROUNDS_RUNNING + 1))
        for name in names:
            wait_up_to_date(server, name)
        before = {name: int(sink(server, name)["rows"]) for name in names}
        with store.frozen(), redis.frozen():
            still_growth = growth(range(ROUNDS_RUNNING + 1, ROUNDS_RUNNING + ROUNDS_STILL + 1))
            for name in names:
                shown = sink(server, name)
                # Some may have gone out before it stood still, and none later.
                expect(int(shown["lag_events"]) > (ROUNDS_STILL - 1) * KEYS and int(shown["lag_ms"]) > 1000, shown)
            expect(server.metric("millrace_sink_lag_events") > (2 * ROUNDS_STILL - 2) * KEYS, "the lag in the metrics")
        buffers = still_growth - running_growth * ROUNDS_STILL // ROUNDS_RUNNING
        test.note(f"memory: {running_growth / 2**20:.1f} MiB for {ROUNDS_RUNNING * KEYS} events, {still_growth / 2**20:.1f} MiB for "
                  f"{ROUNDS_STILL * KEYS} while the stores stand still")
        expect(buffers < BUFFERS_MAX, f"{buffers / 2**20:.1f} MiB more than without")
        for name in names:
            wait_up_to_date(server, name)
            written = int(sink(server, name)["rows"]) - before[name]
            expect(written < ROUNDS_STILL * KEYS / 2, f"{name}: {written} rows written, not the last of each key")
        table_is_the_view(store, server, "rows")
        expect_equal(redis_rows(redis, "keys", ("k", "n", "s")), rows_of_view(server, "by_key", "k, n, s"), "the keys")

        # Now they are gone: said by name and reason, counted, and over when they are back.
        expect_equal(server.metric("millrace_sink_up"), 2, "sinks that write")
        store.kill()
        redis.kill()
        errors = {}
        for name in names:
            wait_for(f"{name} to wait", lambda: sink(server, name)["state"] == "waiting" and
                     "refused" in sink(server, name)["error"])
            errors[name] = sink(server, name)
        for name, port in (("rows", store.port), ("keys", redis.port)):
            expect(errors[name]["error"].startswith("MR1404: ") and str(port) in errors[name]["error"], errors[name])
        expect_equal(server.metric("millrace_sink_up"), 0, "sinks that write")
        post_round(connection, 99)
        wait_for("more errors", lambda: int(sink(server, "rows")["errors"]) > int(errors["rows"]["errors"]))
        expect(int(sink(server, "rows")["lag_ms"]) > 0 and int(sink(server, "rows")["lag_events"]) > 0, sink(server, "rows"))
        told, = server.sql_rows("SELECT state, error FROM millrace.sinks WHERE name = 'rows'")
        expect(told[0] == "waiting" and "refused" in told[1], told)
        # A trouble is one line in the log, however often it is met.
        expect_equal(len(re.findall(r"sink rows: .*refused", server.stderr())) <= 2, True, "lines in the log")
        store.start()
        redis.start()
        for name in names:
            wait_up_to_date(server, name)
            expect(sink(server, name)["error"] is None, sink(server, name))
        table_is_the_view(store, server, "rows")
        expect_equal(redis_rows(redis, "keys", ("k", "n", "s")), rows_of_view(server, "by_key", "k, n, s"), "the keys of a new Redis")


def test_a_sink_pauses_and_goes_and_leaves_its_table(test):
    """PAUSE freezes the table, RESUME makes it up; DROP leaves it, and a new sink takes it over where the columns are the same."""
    with running(Postgres(driver("psycopg"))) as store:
        server = test.server().start()
        for statement in (STREAM, BY_KEY):
            server.sql(statement)
        create = f"CREATE SINK kept INTO '{store.url('kept')}' AS SELECT k, n, s FROM by_key"
        server.sql(create)
        server.post("e", [{"k": n % 7, "x": n} for n in range(50)])
        wait_up_to_date(server, "kept")
        server.sql("PAUSE SINK kept")
        server.sql("PAUSE SINK kept")
        there = sorted(store.rows("SELECT * FROM kept"))
        wait_for("its connection to go", lambda: not store.rows("SELECT FROM pg_stat_activity WHERE application_name = 'millrace'"))
        server.post("e", [{"k": n % 9, "x": n} for n in range(50)])
        shown = sink(server, "kept")
        expect(shown["state"] == "paused" and shown["error"] is None and int(shown["lag_events"]) >= 50, shown)
        expect_equal(sorted(store.rows("SELECT * FROM kept")), there, "the table meanwhile")
        server.sql("RESUME SINK kept")
        wait_up_to_date(server, "kept")
        expect_equal(int(sink(server, "kept")["backfills"]), 0, "backfills: it went on from where it was")
        table_is_the_view(store, server, "kept")

        server.sql("DROP SINK kept")
        expect_equal(server.sql_rows("SHOW SINKS"), [], "the sinks")
        there = sorted(store.rows("SELECT * FROM kept"))
        expect_equal(len(there), 9, "rows that stay")
        server.post("e", [{"k": 100, "x": 1}])
        server.sql(create.replace("n, s", "n, s, n AS more"))
        wait_for("a stop", lambda: sink(server, "kept")["state"] == "stopped")
        expect("of an earlier sink has no column" in sink(server, "kept")["error"], sink(server, "kept"))
        expect_equal(sorted(store.rows("SELECT * FROM kept")), there, "the table that another shape was meant for")
        server.sql("DROP SINK kept")
        store.run("INSERT INTO kept VALUES (777, 7, 7)")
        server.sql(create)
        wait_up_to_date(server, "kept")
        table_is_the_view(store, server, "kept")


def test_two_sinks_do_not_share_a_table(test):
    """The same address is refused at once; by other names of the same table the second waits until the first has gone."""
    with running(Postgres(driver("psycopg"))) as store, running(Redis(test.folder)) as redis:
        server = test.server().start()
        for statement in (STREAM, BY_KEY):
            server.sql(statement)
        server.post("e", [{"k": n % 7, "x": n} for n in range(50)])
        first, alias = store.url("shared"), store.url("public.shared").replace("127.0.0.1", "localhost")
        server.sql(f"CREATE SINK first INTO '{first}' AS SELECT k, n, s FROM by_key")
        wait_up_to_date(server, "first")
        server.sql(f"CREATE SINK second INTO '{alias}' AS SELECT k, n, s FROM by_key WHERE n > 7")
        wait_for("the second to wait", lambda: sink(server, "second")["state"] == "waiting", 20)
        expect("another session keeps the table" in sink(server, "second")["error"], sink(server, "second"))
        server.post("e", [{"k": n % 7, "x": n} for n in range(10)])
        wait_up_to_date(server, "first")
        table_is_the_view(store, server, "shared")
        server.sql("PAUSE SINK first")
        wait_up_to_date(server, "second")
        expect_equal(sorted(store.rows("SELECT k, n, s::bigint FROM shared")), rows_of_view(server, "by_key WHERE n > 7", "k, n, s"),
                     "the table of the second")
        # The first does not believe that the rows are still its own.
        server.sql("PAUSE SINK second")
        server.sql("RESUME SINK first")
        wait_up_to_date(server, "first")
        table_is_the_view(store, server, "shared")

        server.sql(f"CREATE SINK keys INTO '{redis.url('shared')}' AS SELECT k, n, s FROM by_key")
        wait_up_to_date(server, "keys")
        server.sql(f"CREATE SINK others INTO '{redis.url('shared').replace('127.0.0.1', 'localhost')}' AS SELECT k, n, s FROM by_key")
        wait_up_to_date(server, "others")
        wait_for("the first to stop", lambda: sink(server, "keys")["state"] == "stopped")
        expect("another sink writes the keys" in sink(server, "keys")["error"], sink(server, "keys"))
        expect_equal(redis_rows(redis, "shared", ("k", "n", "s")), rows_of_view(server, "by_key", "k, n, s"), "the keys")
