"""Views whose groups do not fit the memory that they may take: right answers, through restarts, kills and damage."""
import time

from harness import ApiError, expect, expect_equal, run_batch

# Next to nothing stays in memory: every table is spilled, every look-up reads a block.
TINY = {
    "batch": {"interval_ms": 3_600_000, "table_bytes_max": 65536},
    "speed": {"table_bytes_max": 65536, "checkpoint_rows": 5000},
    "lake": {"commit_rows": 5000, "commit_interval_ms": 200},
    "state": {"cache_bytes_max": 65536},
}
KEYS = 12_000
EVENTS = 30_000
PER_REQUEST = 3000


def event(number):
    return {"k": f"key {number * 7919 % KEYS}", "n": number}


def totals(end):
    out = {}
    for number in range(end):
        count, total = out.get(event(number)["k"], (0, 0))
        out[event(number)["k"]] = (count + 1, total + number)
    return out


def post(server, begin, end):
    for first in range(begin, end, PER_REQUEST):
        server.post("events", [event(number) for number in range(first, min(first + PER_REQUEST, end))])


def scratch(server):
    return sorted(path.name for path in (server.data / "states").glob("scratch-*"))


def check(test, server, end, when):
    """Whole reads, key by key, and keys that there are not."""
    expected = totals(end)
    rows = server.sql_rows("SELECT count(*), sum(c), sum(s) FROM v")
    expect_equal([int(value) for value in rows[0]], [len(expected), end, end * (end - 1) // 2], f"the totals {when}")
    for key in test.rng.sample(sorted(expected), 50) + ["none", "key 999999"]:
        found = server.view("v", k=key)["rows"]
        wanted = [[key, *expected[key]]] if key in expected else []
        expect_equal([[row[0], int(row[1]), int(row[2])] for row in found], wanted, f"{key} {when}")


def wait_for(condition, what):
    deadline = time.monotonic() + 30.0
    while not condition():
        expect(time.monotonic() < deadline, what)
        time.sleep(0.02)


def start(test):
    server = test.server(config=TINY).start()
    server.sql("CREATE STREAM events (k VARCHAR, n BIGINT) WITH (key = k)")
    server.sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c, sum(n) AS s FROM events GROUP BY k")
    return server


def test_answers_stay_right_where_nothing_fits_the_memory(test):
    """Delta on disk, generation on disk, both, after a restart and after a kill; scratch files go."""
    server = start(test)
    post(server, 0, EVENTS)
    wait_for(lambda: scratch(server), "nothing was spilled")
    check(test, server, EVENTS, "from the delta")
    run_batch(server)
    wait_for(lambda: server.metric("millrace_view_delta_groups") == 0, "the generation did not take the delta away")
    expect_equal(scratch(server), [], "scratch files when nothing is in the delta")
    check(test, server, EVENTS, "from the generation")
    post(server, EVENTS, 2 * EVENTS)
    check(test, server, 2 * EVENTS, "from both")
    wait_for(lambda: scratch(server), "nothing was spilled")
    server.kill()
    expect(scratch(server), "a killed server leaves its scratch files")
    left = set(scratch(server))
    server.start()
    check(test, server, 2 * EVENTS, "after a kill")
    run_batch(server)
    check(test, server, 2 * EVENTS, "from the second generation")
    state = server.batch_state()
    expect_equal([run.get("drift_rows") for run in state["last"][:1]], [0], "drift of the last run")
    server.stop()
    expect_equal(scratch(server), [], f"scratch files of a stopped server; the killed one left {len(left)}")
    server.start()
    check(test, server, 2 * EVENTS, "after a restart")
    run_batch(server, full=True)
    check(test, server, 2 * EVENTS, "after a full run")


def test_a_generation_that_is_damaged_while_it_serves_is_named_and_made_again(test):
    """A block that changes on disk gives an error with the file's name, never a wrong row; the next run heals it."""
    server = start(test)
    post(server, 0, EVENTS)
    run_batch(server)
    expected = totals(EVENTS)
    (path,) = (server.data / "states").glob("view-*-generation-*.run")
    size = path.stat().st_size
    with open(path, "r+b") as file:
        for at in range(1000, size - 1000, 16_000):
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 16]))
    errors = 0
    for key in sorted(expected)[::97]:
        try:
            rows = server.view("v", k=key)["rows"]
        except ApiError as error:
            expect(path.name in error.response.text(), f"the error does not name the file: {error.response.text()}")
            errors += 1
        else:
            expect_equal([[row[0], int(row[1]), int(row[2])] for row in rows], [[key, *expected[key]]], key)
    expect(errors > 0, "no read met the damage")
    test.note(f"{errors} of {len(sorted(expected)[::97])} look-ups met damage")
    post(server, EVENTS, EVENTS + 10)
    run_batch(server)
    check(test, server, EVENTS + 10, "after the next run")
    expect(path.name in server.stderr(), "the log does not name the damaged file")
