"""Reads under load fit together: two views over one stream, and the stream itself, in one transaction and in one
statement, while events come in and batch runs replace generations."""
import threading
import time

from harness import expect, expect_equal, position_sum
from pg_clients import driver

SECONDS = 12
STATEMENTS = ["CREATE STREAM trips (made TIMESTAMP, city VARCHAR, n BIGINT) WITH (time = made, key = city, partitions = 3)",
              "CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS trips, sum(n) AS n FROM trips GROUP BY city",
              "CREATE MATERIALIZED VIEW by_n AS SELECT n % 50 AS bucket, count(*) AS trips FROM trips GROUP BY bucket"]
ONE_STATEMENT = ("SELECT (SELECT sum(trips) FROM by_city), (SELECT sum(trips) FROM by_n), (SELECT count(*) FROM trips), "
                 "(SELECT sum(trips) FROM by_city)")


class Load:
    """Writers and batch runs in threads, until it is closed; what they fail with is raised there."""

    def __init__(self, server):
        self.server, self.ending, self.errors, self.sent, self.runs = server, threading.Event(), [], 0, 0
        self.threads = [threading.Thread(target=self.guarded, args=(work,)) for work in (self.write, self.write, self.run)]
        for thread in self.threads:
            thread.start()

    def guarded(self, work):
        try:
            while not self.ending.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - told by close()
            self.errors.append(error)

    def write(self):
        number = self.sent = self.sent + 1
        self.server.post("trips", [{"made": "2026-01-01T00:00:00Z", "city": f"c{(number * 7 + i) % 30}", "n": number + i}
                                   for i in range(20)])

    def run(self):
        expect(self.server.run_batch()["error"] is None, "a batch run")
        self.runs += 1

    def close(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)
        if self.errors:
            raise self.errors[0]


def test_views_of_one_stream_always_agree(test):
    """By psycopg in transactions with pauses, by one SELECT over the wire and over HTTP; numbers only grow."""
    psycopg = driver("psycopg")
    server = test.server(config={"lake": {"commit_interval_ms": 100}}).start()
    for statement in STATEMENTS:
        server.sql(statement)
    server.post("trips", [{"made": "2026-01-01T00:00:00Z", "city": "c0", "n": 1}])
    load = Load(server)
    reads = {"transactions": 0, "statements": 0, "statements over HTTP": 0}
    seen = 0
    try:
        with psycopg.connect(server.postgres_url) as session, psycopg.connect(server.postgres_url, autocommit=True) as db:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end and not load.errors:
                with session.transaction():
                    first = session.execute("SELECT sum(trips) FROM by_city").fetchone()[0]
                    if reads["transactions"] % 3 == 0:
                        server.sql("SELECT 1")  # the load goes on for a while
                        time.sleep(test.rng.random() / 4)
                    rest = [session.execute(text).fetchone()[0] for text in
                            ("SELECT sum(trips) FROM by_n", "SELECT count(*) FROM trips", "SELECT sum(trips) FROM by_city",
                             "SELECT sum(n) IS NOT NULL FROM by_city WHERE city = 'c0'")]
                expect_equal(rest, [first] * 3 + [True], "reads of one transaction")
                expect(first >= seen, f"a later transaction saw {first} events, an earlier one {seen}")
                seen = first
                reads["transactions"] += 1
                counts = [int(value) for value in db.execute(ONE_STATEMENT).fetchone()]
                expect_equal(len(set(counts)), 1, f"counts of one statement: {counts}")
                expect(counts[0] >= seen, f"a statement saw {counts[0]} events, a transaction before it {seen}")
                seen = counts[0]
                reads["statements"] += 1
                answer = server.sql(ONE_STATEMENT)
                counts = [int(value) for value in answer["rows"][0]]
                expect_equal(len(set(counts)), 1, f"counts of one statement over HTTP: {counts}")
                expect(counts[0] >= seen, f"a statement over HTTP saw {counts[0]} events, one before it {seen}")
                seen = counts[0]
                reads["statements over HTTP"] += 1
    finally:
        load.close()
    total = server.sql_rows(ONE_STATEMENT)[0]
    end = position_sum(server.view("by_city")["coverage"]["delta_end"])
    expect_equal([int(value) for value in total], [end] * 4, "events at the end")
    expect(min(reads.values()) >= 5 and load.runs >= 2, f"too little was read: {reads}, {load.runs} batch runs")
    test.note(f"{reads}, {load.runs} batch runs, {total[0]} events")

