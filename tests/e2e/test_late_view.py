"""A view that comes late sees everything, at once, while events keep flowing."""
import threading
import time

from harness import ApiError, Fold, NoAnswer, clip, expect, expect_equal, rows_as_dicts, run_batch

EVENTS = 1_000_000
BATCH = 2000


def event(number):
    return {"id": number, "ts": f"2026-{1 + number % 12:02}-01T00:00:00", "city": f"c{number % 50}", "value": (number % 1000) / 8}


def line(number):
    return (f'{{"id":{number},"ts":"2026-{1 + number % 12:02}-01T00:00:00","city":"c{number % 50}",'
            f'"value":{(number % 1000) / 8}}}')


def body(begin, end):
    return "\n".join(line(i) for i in range(begin, end)).encode()


def test_a_view_created_after_a_million_events_is_right_after_its_first_batch(test):
    """Promise 3. Its answers equal a recomputation at the position that each states, also as events flow."""
    server = test.server(config={"lake": {"commit_interval_ms": 200}}).start()
    server.sql("CREATE STREAM visits (id BIGINT, ts TIMESTAMP, city VARCHAR, value DOUBLE) WITH (time = ts)")
    # One client, one partition: the event with offset n is the event with id n.
    connection = server.connect()
    begin = time.monotonic()
    for first in range(0, EVENTS, BATCH):
        answer = connection.request("POST", "/v1/streams/visits/events", body(first, first + BATCH),
                                    {"Content-Type": "application/x-ndjson"}).ok()
        expect_equal((answer["accepted"], answer["position"]), (BATCH, {"0": first + BATCH}), "the answer to a post")
    test.note(f"{EVENTS / (time.monotonic() - begin):,.0f} events/s from one client")

    sent = [EVENTS]
    stop = threading.Event()
    trouble = []

    def keep_posting():
        own = server.connect()
        try:
            while not stop.is_set():
                own.request("POST", "/v1/streams/visits/events", body(sent[0], sent[0] + 100),
                            {"Content-Type": "application/x-ndjson"}).ok()
                sent[0] += 100
                time.sleep(0.002)
        except (ApiError, NoAnswer) as error:
            trouble.append(error)

    poster = threading.Thread(target=keep_posting, daemon=True)
    poster.start()
    try:
        server.sql("CREATE MATERIALIZED VIEW late AS SELECT city, date_trunc('month', ts) AS month, count(*) AS n, sum(value) AS total,"
                   " avg(value) AS mean, min(id) AS low, max(id) AS high FROM visits WHERE id % 2 = 0 GROUP BY city, month")
        begin = time.monotonic()
        server.request("POST", "/v1/batch", b"{}", {"Content-Type": "application/json"})
        while True:
            try:
                answer = server.view("late", limit=10_000)
                break
            except ApiError as error:
                expect(error.code == "MR1303", f"before the first batch: {error}")
            expect(time.monotonic() - begin < 60.0, "the view was not built within a minute")
            time.sleep(0.01)
        test.note(f"the view answered {time.monotonic() - begin:.1f} s after it was created")
        answers = [answer]
        for _ in range(5):
            time.sleep(0.1)
            answers.append(server.view("late", limit=10_000))
        run_batch(server)
        answers.append(server.view("late", limit=10_000))
        run_batch(server, full=True)
        answers.append(server.view("late", limit=10_000))
    finally:
        stop.set()
        poster.join(30.0)
    if trouble:
        raise trouble[0]

    groups, done = {}, 0
    for answer in answers:
        end = int(answer["coverage"]["delta_end"]["0"])
        expect(done <= end <= sent[0], f"the position {end} lies outside {done}..{sent[0]}")
        while done < end:
            if done % 2 == 0:
                one = event(done)
                ids, values = groups.setdefault((one["city"], one["ts"][:7]), (Fold(), Fold()))
                ids.add(one["id"])
                values.add(one["value"])
            done += 1
        got = {(row["city"], str(row["month"])[:7]): (row["n"], row["total"], row["mean"], row["low"], row["high"])
               for row in rows_as_dicts(answer)}
        expected = {key: (ids.rows, values.sum_of_doubles(), values.mean(), ids.low, ids.high)
                    for key, (ids, values) in groups.items()}
        expect_equal(len(got), len(expected), f"groups at position {end}")
        for key, value in expected.items():
            expect(got.get(key) == value, f"position {end}, group {key}: {clip(got.get(key))} instead of {value}")
    generations = [int(answer["coverage"]["generation"]) for answer in answers]
    expect(generations == sorted(generations) and generations[-1] > 0, f"generations {generations}")
    expect(answers[-1]["coverage"]["delta_end"] != answers[0]["coverage"]["delta_end"], "no events flowed meanwhile")
