"""Clients that send every request again until it is acknowledged, while the server is killed: each id counts once."""
import random
import threading

from harness import NoAnswer, expect_equal, run_batch

CLIENTS = 4
BUSY = {
    "log": {"segment_bytes": 131072},
    "lake": {"commit_rows": 400, "commit_interval_ms": 40},
    "batch": {"interval_ms": 60},
}
STATEMENTS = [
    "CREATE STREAM e (id BIGINT, k VARCHAR, n BIGINT) WITH (key = k, partitions = 2, dedup = id)",
    "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c, sum(n) AS s FROM e GROUP BY k",
]


def send_until_acknowledged(server, requests, done, trouble):
    """Sends each request until an answer comes; ends when the server is gone."""
    connection = server.connect()
    try:
        while requests:
            answer = connection.post_lines("e", requests[0]).ok()
            expect_equal(answer["accepted"] + answer["duplicates"], len(requests[0]), "accepted and repeated")
            done.extend(requests.pop(0))
    except NoAnswer:
        pass
    except Exception as error:  # the main thread raises it
        trouble.append(error)
    finally:
        connection.close()


def test_each_id_counts_once_when_clients_send_again_after_kills(test):
    """Promise 4. SIGKILL at random moments; what got no answer is sent again."""
    server = test.server(config=BUSY)
    server.start()
    for statement in STATEMENTS:
        server.sql(statement)
    done, trouble, next_id = [], [], 0
    queues = [[] for _ in range(CLIENTS)]
    for _ in range(max(3, test.options.rounds // 2)):
        for queue in queues:
            for _ in range(150):
                events = []
                for _ in range(1 + test.rng.randrange(12)):
                    # Some ids are of other clients, on their way at the same time.
                    if next_id == 0 or test.rng.random() > 0.1:
                        next_id += 1
                        number = next_id
                    else:
                        number = max(1, next_id - test.rng.randrange(40))
                    events.append({"id": number, "k": f"k{number % 7}", "n": number})
                queue.append(events)
        threads = [threading.Thread(target=send_until_acknowledged, args=(server, queue, done, trouble), daemon=True)
                   for queue in queues]
        for thread in threads:
            thread.start()
        threads[0].join(0.3 * random.Random(test.rng.random()).random())
        server.kill()
        for thread in threads:
            thread.join(60.0)
        if trouble:
            raise trouble[0]
        server.start()
    for queue in queues:
        send_until_acknowledged(server, queue, done, trouble)
        expect_equal((queue, trouble), ([], []), "what is left to send")

    wanted = {}
    for event in {event["id"]: event for event in done}.values():
        count, total = wanted.get(event["k"], (0, 0))
        wanted[event["k"]] = (count + 1, total + event["n"])
    def counted():
        return {k: (int(c), int(s)) for k, c, s in server.sql_rows("SELECT k, c, s FROM v")}
    expect_equal(counted(), wanted, "the view before the last batch run")
    run_batch(server, full=True)
    expect_equal(counted(), wanted, "the view after it")
    expect_equal(server.sql_rows("SELECT count(*), count(DISTINCT id) FROM e"),
                 [[len(set(e["id"] for e in done))] * 2], "the stream's ids")
    repeats = server.metric("millrace_ingest_duplicates_total")
    test.note(f"{len(done)} records acknowledged, {next_id} ids, {repeats} repeats since the last start")
