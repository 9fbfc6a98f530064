"""Every statement, what the answers cover, and that a restart keeps all."""
import gzip
import json
import re
import signal
import subprocess
import threading
import time
from fractions import Fraction

from harness import (JSON, NDJSON, ROOT, ExactSum, NoAnswer, StartFailed, clip, expect, expect_equal,
                     number, position_sum, rows_as_dicts, run_batch)

TRIPS = "CREATE STREAM trips (at TIMESTAMP, city VARCHAR, minutes DOUBLE) WITH (time = at, key = city)"
BY_CITY = "CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS trips, avg(minutes) AS mean FROM trips GROUP BY city"


def trip(number, city="Lima", minutes=1.0):
    return {"at": f"2026-03-01 10:{number % 60:02}:00", "city": city, "minutes": minutes}


def refused(server, text):
    response = server.request("POST", "/v1/sql", json.dumps({"sql": text}).encode(), {"Content-Type": JSON})
    expect(400 <= response.status < 500, f"{text}: HTTP {response.status}: {clip(response.text())}")
    return response.status, response.problem_code(), response.json()


def test_the_first_five_minutes_of_the_readme_work_as_written(test):
    """The commands are taken from README.md and run by a shell."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- e2e: first five minutes -->\n```sh\n(.*?)```", text, re.DOTALL).group(1)
    server = test.server().start()
    outputs = []
    for command in re.split(r"\n\n", block.strip()):
        done = subprocess.run(["bash", "-c", command.replace("http://127.0.0.1:8080", server.url)], capture_output=True, timeout=60)
        expect_equal(done.returncode, 0, f"exit code of {command}: {done.stderr.decode()}")
        outputs.append(json.loads(done.stdout))
    posted, view, quarantine = outputs[2], outputs[3], outputs[4]
    expect_equal((posted["accepted"], posted["rejected"][0]["line"]), (2, 3), "the answer to the post")
    expect_equal(rows_as_dicts(view), [{"city": "Lima", "trips": 1, "mean": 12.5}], "the view's rows for Lima")
    expect_equal(view["coverage"]["quarantined"], 1, "quarantined")
    expect("long" in json.dumps(quarantine["rows"]), f"the quarantine: {clip(quarantine)}")


def test_answers_have_lists_structs_and_maps_as_json(test):
    """Nested values, INTERVAL and TIME: of a SELECT, of a stream's column and of a plain view."""
    server = test.server().start()
    answer = server.sql("SELECT [1, 2, NULL] AS l, {'a': 1, 'b \"c': [1.5]} AS s, map(['x'], [1]) AS m, "
                        "INTERVAL 3 DAY AS i, TIME '01:02:03' AS t, NULL::INTEGER[] AS n, row(1, 'x') AS r")
    expect_equal(answer["rows"], [[[1, 2, None], {"a": 1, 'b "c': ["1.5"]}, {"x": 1}, "3 days", "01:02:03", None, [1, "x"]]],
                 "the row")
    expect_equal([column["type"] for column in answer["columns"]],
                 ["INTEGER[]", 'STRUCT(a INTEGER, "b ""c" DECIMAL(2,1)[])', "MAP(VARCHAR, INTEGER)", "INTERVAL", "TIME",
                  "INTEGER[]", "STRUCT(INTEGER, VARCHAR)"], "the types")
    server.sql("CREATE STREAM shifts (day TIMESTAMP, starts TIME, who VARCHAR) WITH (time = day)")
    events = [{"day": "2026-03-01", "starts": "06:30", "who": who} for who in ("Ana", "Ben", None)]
    server.post("shifts", events)
    server.sql("CREATE MATERIALIZED VIEW by_start AS SELECT starts, count(*) AS n FROM shifts GROUP BY starts")
    server.sql("CREATE VIEW crews AS SELECT starts, list(who ORDER BY who) AS crew, max(day) - min(day) AS span "
               "FROM shifts GROUP BY starts")
    expect_equal(server.sql("SELECT * FROM by_start")["rows"], [["06:30:00", 3]], "by_start")
    expect_equal(server.sql("SELECT * FROM crews")["rows"], [["06:30:00", ["Ana", "Ben", None], "00:00:00"]], "crews")
    expect_equal(refused(server, "CREATE STREAM wrong (a INTEGER[])")[:2], (400, "MR1004"), "a nested column")


def test_streams_and_views_are_created_shown_described_and_dropped(test):
    """CREATE, IF NOT EXISTS, SHOW, DESCRIBE, DROP, IF EXISTS, and the errors of each."""
    server = test.server().start()
    server.sql(TRIPS)
    expect_equal(refused(server, TRIPS)[:2], (409, "MR1204"), "the same stream again")
    server.sql(TRIPS.replace("STREAM", "STREAM IF NOT EXISTS"))
    server.sql(BY_CITY)
    expect_equal(refused(server, BY_CITY)[:2], (409, "MR1204"), "the same view again")
    server.sql("CREATE VIEW long_trips AS SELECT * FROM trips WHERE minutes > 60;")
    expect("trips" in json.dumps(server.sql("SHOW STREAMS")["rows"]), "SHOW STREAMS lacks trips")
    shown = json.dumps(server.sql("SHOW VIEWS")["rows"])
    expect("by_city" in shown and "long_trips" in shown, f"SHOW VIEWS: {shown}")
    described = json.dumps(server.sql("DESCRIBE trips")["rows"])
    expect(all(word in described for word in ("at", "TIMESTAMP", "city", "VARCHAR", "minutes", "DOUBLE")), f"DESCRIBE: {described}")
    described = json.dumps(server.sql("DESCRIBE by_city")["rows"])
    expect("trips" in described and "BIGINT" in described, f"DESCRIBE by_city: {described}")
    expect_equal(refused(server, "DESCRIBE nope")[0], 404, "DESCRIBE of nothing")
    expect_equal(refused(server, "DROP STREAM trips")[:2], (409, "MR1205"), "dropping a stream in use")
    expect_equal(refused(server, "DROP STREAM nope")[:2], (404, "MR1201"), "dropping no stream")
    expect_equal(refused(server, "DROP MATERIALIZED VIEW nope")[:2], (404, "MR1202"), "dropping no view")
    server.sql("DROP VIEW IF EXISTS nope")
    server.post("trips", [trip(1, minutes=90.0), trip(2)])
    expect_equal(server.sql_rows("SELECT count(*) FROM long_trips"), [[1]], "the plain view")
    server.sql("DROP VIEW long_trips")
    server.sql("DROP MATERIALIZED VIEW by_city")
    expect_equal(refused(server, "SELECT * FROM by_city")[0], 404, "a dropped view")
    server.sql("DROP STREAM trips")
    expect_equal(server.sql_rows("SHOW STREAMS"), [], "streams after the drop")
    server.sql(TRIPS)
    expect_equal(server.sql_rows("SELECT count(*) FROM trips"), [[0]], "a stream of the same name is a new one")
    for text in ("CREATE STREAM s (a NOTYPE)", "CREATE STREAM s ()", "CREATE STREAM s (a BIGINT, a BIGINT)",
                 "CREATE STREAM s (a BIGINT) WITH (time = nope)", "CREATE STREAM s (a BIGINT) WITH (colour = red)",
                 "CREATE STREAM s (a BIGINT) WITH (partitions = 0)", "CREATE STREAM s (a BIGINT) WITH (partitions = 100000)",
                 "CREATE STREAM s (a DECIMAL(50, 2))", "CREATE STREAM s", "CREATE STREAM s (_offset BIGINT)", "CREATE"):
        expect_equal(refused(server, text)[0], 400, text)


def test_a_view_that_cannot_be_maintained_is_refused_with_the_reason(test):
    """The refusal says what and what to do instead."""
    server = test.server().start()
    server.sql(TRIPS)
    for select in ("SELECT city, row_number() OVER (ORDER BY city) AS n FROM trips", "SELECT city, bitstring_agg(1) AS m FROM trips GROUP BY city",
                   "SELECT * FROM trips", "SELECT city, count(*) AS n FROM trips GROUP BY city ORDER BY n LIMIT 3",
                   "SELECT a.city, count(*) AS n FROM trips a JOIN trips b USING (city) GROUP BY a.city",
                   "SELECT DISTINCT ON (city) city, minutes FROM trips", "SELECT city, count(*) AS n FROM trips GROUP BY city UNION ALL SELECT 'x', 1"):
        status, code, document = refused(server, f"CREATE MATERIALIZED VIEW v AS {select}")
        expect(code in ("MR1302", "MR1301", "MR1002"), f"{select}: {status} {code} {document.get('detail')}")
        expect(len(document.get("detail", "")) > 20, f"{select}: {document}")
    status, code, document = refused(server, "CREATE MATERIALIZED VIEW v AS SELECT cty, count(*) AS n FROM trips GROUP BY cty")
    expect(code in ("MR1203", "MR1304"), f"an unknown column: {status} {code} {document}")


def test_values_of_every_type_come_back_as_they_went_in(test):
    """Post, read from the log tail, let the lake take it, read from the lake."""
    server = test.server(config={"lake": {"commit_interval_ms": 50}}).start()
    columns = {"n": "INTEGER", "b": "BOOLEAN", "i1": "TINYINT", "i2": "SMALLINT", "i4": "INTEGER", "i8": "BIGINT", "d": "DOUBLE",
               "p": "DECIMAL(18,3)", "s": "VARCHAR", "t": "TIMESTAMP", "z": "TIMESTAMP WITH TIME ZONE", "y": "DATE", "u": "UUID", "j": "JSON"}
    server.sql("CREATE STREAM every (" + ", ".join(f"{n} {t}" for n, t in columns.items()) + ") WITH (time = t)")
    events = [
        {"b": True, "i1": -128, "i2": 32767, "i4": -2147483648, "i8": 9007199254740991, "d": 0.1, "p": "@decimal@", "s": "\u6771\u4eac \U0001f980",
         "t": "2026-02-28T23:59:59.999999", "z": "2026-01-01T00:00:00+02:00", "y": "2024-02-29", "u": "123e4567-e89b-12d3-a456-426614174000", "j": {"a": [1, None]}},
        {"b": False, "i1": 127, "i2": -32768, "i4": 2147483647, "i8": -9007199254740991, "d": -1.7976931348623157e308, "p": -0.001, "s": "",
         "t": "1969-12-31 00:00:00", "z": "1970-01-01T00:00:00Z", "y": "0001-01-01", "u": "ffffffff-ffff-ffff-ffff-ffffffffffff", "j": []},
        {**dict.fromkeys(columns), "t": "2026-01-01 00:00:00"},
    ]
    for n, event in enumerate(events):
        event["n"] = n
    # A decimal as a JSON number with all its digits, which a Python float does not have.
    body = "\n".join(json.dumps(event) for event in events).replace('"@decimal@"', "123456789012345.678")
    answer = server.request("POST", "/v1/streams/every/events", body.encode(), {"Content-Type": NDJSON}).ok()
    expect_equal((answer["accepted"], answer["rejected"]), (3, []), "accepted")
    query = "SELECT * EXCLUDE (n) FROM every ORDER BY n"
    tail = server.sql(query)
    expect_equal([c["name"] for c in tail["columns"]], list(columns)[1:], "column names")
    expect_equal([c["name"] for c in server.sql("SELECT * FROM every")["columns"]], list(columns), "all column names")
    rows = rows_as_dicts(tail)
    for name in ("b", "i1", "i2", "i4", "i8", "d", "s", "u"):
        expect_equal([row[name] for row in rows], [event[name] for event in events], f"column {name}")
    expect_equal([number(row["p"]) if row["p"] is not None else None for row in rows],
                 [Fraction("123456789012345.678"), Fraction("-0.001"), None], "the decimal")
    expect_equal([str(row["t"])[:19].replace("T", " ") for row in rows], ["2026-02-28 23:59:59", "1969-12-31 00:00:00", "2026-01-01 00:00:00"], "timestamps")
    expect(str(rows[0]["z"]).replace("T", " ").startswith("2025-12-31 22:00:00"), f"the time zone: {rows[0]['z']}")
    expect_equal([row["y"] for row in rows], ["2024-02-29", "0001-01-01", None], "dates")
    wait_for_lake(server, "every", 3)
    expect_equal(server.sql(query)["rows"], tail["rows"], "the rows read from the lake")


def wait_for_lake(server, stream, rows):
    """Until the lake has them, seen from outside: a Parquet file is there and the commit interval has passed."""
    deadline = time.monotonic() + 20.0
    while not list(server.data.rglob("*.parquet")):
        expect(time.monotonic() < deadline, f"no lake file of {stream} came")
        time.sleep(0.02)
    time.sleep(0.3)
    expect_equal(int(server.sql_rows(f"SELECT count(*) FROM {stream}")[0][0]), rows, f"events of {stream}")


def test_answers_are_exact_before_between_and_after_batch_runs(test):
    """Promise 3. Doubles of all sizes: delta alone, generation and delta, generation alone, after a restart."""
    server = test.server(config={"lake": {"commit_rows": 50, "commit_interval_ms": 30}}).start()
    server.sql("CREATE STREAM m (id BIGINT, at TIMESTAMP, k VARCHAR, x DOUBLE, big BIGINT, p DECIMAL(12,2)) WITH (time = at, partitions = 3)")
    server.sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n, count(x) AS nx, sum(x) AS sx, min(x) AS lo, max(x) AS hi, sum(big) AS sb, sum(p) AS sp,"
               " min(k) AS mk FROM m GROUP BY k")
    groups = {}
    sizes = [1e300, -1e300, 1e16, -1e16, 0.1, 1e-300, 5e-324, 3.3, -2.7e-5, 0.0, -0.0, 1 / 3]

    def post(count):
        events = []
        for _ in range(count):
            key = test.rng.choice(["a", "b", "\u00fc", "", None])
            x = test.rng.choice([None, test.rng.choice(sizes) * test.rng.choice([1.0, 0.5, 3.0]), test.rng.uniform(-1, 1)])
            big = test.rng.choice([9223372036854775807, -9223372036854775808, 9223372036854775807, 1])
            cents = test.rng.randrange(-10**9, 10**9)
            events.append({"id": 1, "at": "2026-01-01 00:00:00", "k": key, "x": x, "big": big, "p": f"{cents // 100}.{cents % 100:02}" if cents >= 0 else f"-{-cents // 100}.{-cents % 100:02}"})
            group = groups.setdefault(key, {"n": 0, "nx": 0, "sum": ExactSum(), "xs": [], "sb": 0, "cents": 0})
            group["n"] += 1
            group["sb"] += big
            group["cents"] += cents
            if x is not None:
                group["nx"] += 1
                group["sum"].add(x)
                group["xs"].append(x)
        lines = "\n".join(json.dumps({**event, "p": "@"}).replace('"@"', event["p"]) for event in events)
        answer = server.request("POST", "/v1/streams/m/events", lines.encode(), {"Content-Type": NDJSON}).ok()
        expect_equal((answer["accepted"], answer["rejected"]), (count, []), "accepted")

    def compare(when):
        got = {row["k"]: row for row in rows_as_dicts(server.view("v"))}
        expect_equal(set(got), set(groups), f"groups {when}")
        for key, group in groups.items():
            row = got[key]
            expect_equal((row["n"], row["nx"], int(row["sb"]), number(row["sp"])),
                         (group["n"], group["nx"], group["sb"], Fraction(group["cents"], 100)), f"{when}, group {key!r}")
            if group["xs"]:
                expect_equal((row["sx"], row["lo"], row["hi"]), (group["sum"].value(), min(group["xs"]), max(group["xs"])), f"{when}, group {key!r}")
            expect_equal(row["mk"], key, f"{when}, min(k)")
        sql = {row[0]: row[1] for row in server.sql_rows("SELECT k, sx FROM v")}
        expect_equal(sql, {key: row["sx"] for key, row in got.items()}, f"the view by SQL {when}")

    post(200)
    compare("from the delta")
    run_batch(server)
    compare("after a batch run")
    post(200)
    compare("from generation and delta")
    run_batch(server)
    post(30)
    compare("from a second generation and delta")
    server.kill()
    server.start()
    compare("after a kill")
    run_batch(server, full=True)
    compare("after a full run")
    server.stop()
    server.start()
    compare("after a restart")
    expect_equal(server.metric("millrace_audit_drift_rows"), 0.0, "drift")


def test_a_view_is_read_by_key_in_order_and_with_a_limit(test):
    """Equality on columns, order, limit; the coverage says what is included."""
    server = test.server().start()
    server.sql(TRIPS)
    server.sql(BY_CITY)
    server.post("trips", [trip(i, f"city {i % 20:02}", float(i)) for i in range(200)])
    expect_equal(rows_as_dicts(server.view("by_city", city="city 07")), [{"city": "city 07", "trips": 10, "mean": 97.0}], "one key")
    expect_equal(server.view("by_city", city="nowhere")["rows"], [], "a key that is not there")
    expect_equal([row["city"] for row in rows_as_dicts(server.view("by_city", order="city", limit=3))], ["city 00", "city 01", "city 02"], "the first three")
    expect_equal([row["city"] for row in rows_as_dicts(server.view("by_city", order="-city", limit=1))], ["city 19"], "the last")
    expect_equal(len(server.view("by_city", trips=10, limit=1000)["rows"]), 20, "equality on a column that is no key")
    coverage = server.view("by_city")["coverage"]
    expect_equal((position_sum(coverage["delta_end"]), coverage["quarantined"]), (200, 0), f"coverage {coverage}")
    expect_equal(position_sum(server.sql("SELECT count(*) FROM trips")["coverage"]["delta_end"]), 200, "coverage of SQL over a stream")
    run_batch(server)
    after = server.view("by_city")["coverage"]
    expect(int(after["generation"]) >= 1 and position_sum(after["cut"]) <= 200, f"coverage after a run: {after}")
    rows = rows_as_dicts(server.sql("SELECT t.city, b.trips, count(*) AS n FROM trips t JOIN by_city b USING (city) GROUP BY ALL ORDER BY 1 LIMIT 1"))
    expect_equal(rows, [{"city": "city 00", "trips": 10, "n": 10}], "a stream joined with a view")
    hidden = rows_as_dicts(server.sql("SELECT _partition, _offset, city FROM trips ORDER BY _offset LIMIT 2"))
    expect_equal([(row["_partition"], int(row["_offset"])) for row in hidden], [(0, 0), (0, 1)], "hidden columns")


def test_events_come_compressed_repeated_and_late(test):
    """gzip; an event sent twice counts twice; a late event changes its own group."""
    server = test.server().start()
    server.sql("CREATE STREAM s (ts TIMESTAMP, x BIGINT) WITH (time = ts)")
    server.sql("CREATE MATERIALIZED VIEW by_hour AS SELECT date_trunc('hour', ts) AS hour, count(*) AS n, sum(x) AS x FROM s GROUP BY hour")
    lines = b'{"ts": "2026-01-01T10:00:00Z", "x": 1}\n\n{"ts": "2026-01-01T11:00:00Z", "x": 2}\r\n'
    answer = server.request("POST", "/v1/streams/s/events", gzip.compress(lines), {"Content-Type": NDJSON, "Content-Encoding": "gzip"}).ok()
    expect_equal((answer["accepted"], answer["position"]), (2, {"0": 2}), "a gzip body with an empty line")
    run_batch(server)
    server.post("s", [{"ts": "2026-01-01 10:30:00", "x": 10}, {"ts": "1999-01-01 00:00:00", "x": 5}])
    server.post("s", [{"ts": "2026-01-01 10:30:00", "x": 10}])
    rows = {str(row["hour"]).replace("T", " ")[:13]: (row["n"], int(row["x"])) for row in rows_as_dicts(server.view("by_hour"))}
    expect_equal(rows, {"2026-01-01 10": (3, 21), "2026-01-01 11": (1, 2), "1999-01-01 00": (1, 5)}, "hours")


def test_a_restart_keeps_everything(test):
    """Streams, views, events, quarantine, positions: after SIGTERM and after SIGKILL."""
    server = test.server().start()
    server.sql(TRIPS)
    server.sql(BY_CITY)
    server.sql("CREATE VIEW v AS SELECT city FROM trips")
    server.post("trips", [trip(i, f"c{i % 3}", i / 4) for i in range(100)])
    server.request("POST", "/v1/streams/trips/events", b'{"at": "soon"}', {"Content-Type": NDJSON})
    asked = ("SHOW STREAMS", "DESCRIBE trips", "SELECT * FROM trips ORDER BY _offset", "SELECT * FROM by_city ORDER BY 1",
             "SELECT code, reason, raw FROM trips__quarantine", "SELECT count(*) FROM v")

    def everything():
        answers = [server.sql_rows(text) for text in asked[1:]]
        view = server.view("by_city", order="city")
        return answers, view["rows"], view["coverage"]["delta_end"], view["coverage"]["quarantined"]

    before = everything()
    expect_equal(before[2:], ({"0": 100}, 1), "the coverage before")
    expect_equal(server.stop(), 0, "the exit code of SIGTERM")
    server.start()
    expect_equal(everything(), before, "after SIGTERM")
    server.kill()
    server.start()
    expect_equal(everything(), before, "after SIGKILL")
    run_batch(server)
    expect_equal(everything(), before, "after a batch run")
    server.process.send_signal(signal.SIGINT)
    expect_equal(server.process.wait(10.0), 0, "the exit code of SIGINT")


def test_a_second_server_on_the_same_folder_is_refused(test):
    """Exit code 5, a text that says why, and the first one goes on."""
    first = test.server().start()
    second = test.server()
    try:
        second.start()
        expect(False, "the second server started")
    except StartFailed as failed:
        expect_equal(failed.exit_code, 5, f"the exit code ({failed.stderr})")
        expect("MR4004" in failed.stderr and str(first.process.pid) in failed.stderr, f"the text: {failed.stderr}")
    expect_equal(first.get("/readyz").status, 200, "the first server")
    first.kill()
    second.start()


def test_sigterm_does_not_wait_for_a_select_that_runs(test):
    """A SELECT of half a minute ends with an error, and the server within its ten seconds."""
    server = test.server().start()
    answers = []

    def ask():
        try:
            answers.append(server.request("POST", "/v1/sql", json.dumps({
                "sql": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) "
                       "SELECT max(i) FROM n"}).encode(), {"Content-Type": "application/json"}).status)
        except Exception as error:  # the connection may be closed before the answer
            answers.append(repr(error))

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    expect(not answers, f"the SELECT ended too soon: {answers}")
    began = time.monotonic()
    expect_equal(server.stop(), 0, "the exit code of SIGTERM")
    expect(time.monotonic() - began < 10, f"stopping took {time.monotonic() - began:.1f} s")
    thread.join()


def test_sigterm_under_load_stops_in_time_and_loses_nothing(test):
    """Every acknowledged event is there after the next start."""
    server = test.server().start()
    server.sql("CREATE STREAM s (id BIGINT, at TIMESTAMP) WITH (time = at)")
    server.sql("CREATE MATERIALIZED VIEW v AS SELECT id % 10 AS k, count(*) AS n FROM s GROUP BY k")
    acked = [0] * 4
    sent = [0] * 4

    def post(me):
        connection = server.connect()
        try:
            while True:
                sent[me] += 20
                response = connection.post_lines("s", [{"id": sent[me] + i, "at": "2026-01-01 00:00:00"} for i in range(20)])
                if response.status != 200:
                    return
                acked[me] += 20
        except NoAnswer:
            pass

    threads = [threading.Thread(target=post, args=(i,), daemon=True) for i in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    begin = time.monotonic()
    expect_equal(server.stop(timeout=10.0), 0, "the exit code")
    took = time.monotonic() - begin
    for thread in threads:
        thread.join(30.0)
    server.start()
    count = int(server.sql_rows("SELECT count(*) FROM s")[0][0])
    expect(sum(acked) <= count <= sum(sent), f"{count} events, {sum(acked)} acknowledged, {sum(sent)} sent")
    expect_equal(sum(row["n"] for row in rows_as_dicts(server.view("v"))), count, "the view's count")
    test.note(f"{sum(acked)} events acknowledged, stopped in {took:.2f} s")


def test_a_pipeline_file_is_run_at_start(test):
    """`millrace up pipeline.sql`: statements in order, the same file again changes nothing, an error stops the start."""
    pipeline = test.folder / "pipeline.sql"
    pipeline.write_text(f"-- trips; and nothing else\n{TRIPS};\n\n{BY_CITY};\n")
    server = test.server(args=[str(pipeline)]).start()
    server.post("trips", [trip(1)])
    server.stop()
    server.start()
    expect_equal(rows_as_dicts(server.view("by_city")), [{"city": "Lima", "trips": 1, "mean": 1.0}], "the view")
    bad = test.folder / "bad.sql"
    bad.write_text("CREATE STREAM ok (at TIMESTAMP) WITH (time = at);\nCREATE STREM x (a INT);\n")
    other = test.server("other", args=[str(bad)])
    try:
        other.start()
        expect(False, "the server started with a bad pipeline")
    except StartFailed as failed:
        expect(failed.exit_code in (1, 2) and "bad.sql" in failed.stderr and ("2" in failed.stderr), f"the text: {failed.exit_code} {failed.stderr}")


def test_configuration_errors_name_file_line_and_key(test):
    """Unknown, doubled and mistyped keys; the environment overrides the file."""
    for text, words in (("log:\n  segment_byte: 5\n", ["segment_byte", "2"]), ("log:\n  segment_bytes: 70000\n  segment_bytes: 70000\n", ["segment_bytes", "3"]),
                        ("log:\n  segment_bytes: many\n", ["segment_bytes", "2"]), ("nope: 1\n", ["nope", "1"]), ("log: [\n", [])):
        path = test.folder / "bad.yaml"
        path.write_text(text)
        server = test.server("config", args=["--config", str(path)])
        try:
            server.start()
            expect(False, f"the server started with {text!r}")
        except StartFailed as failed:
            expect_equal(failed.exit_code, 2, f"the exit code of {text!r}: {failed.stderr}")
            expect("MR4007" in failed.stderr and "bad.yaml" in failed.stderr and all(word in failed.stderr for word in words), f"{text!r}: {failed.stderr}")
    server = test.server(env={"MILLRACE_HTTP__BODY_BYTES_MAX": "2000"}, config={"http": {"body_bytes_max": 100000}}).start()
    server.sql(TRIPS)
    response = server.request("POST", "/v1/streams/trips/events", b" " * 3000, {"Content-Type": NDJSON})
    expect_equal(response.status, 413, "a body above the environment's limit")


def test_listings_health_and_metrics_tell_what_is_there(test):
    """GET /v1/streams, /v1/views, /v1/batch, /healthz, /readyz, /metrics."""
    server = test.server().start()
    server.sql(TRIPS)
    server.sql(BY_CITY)
    server.post("trips", [trip(1), trip(2)])
    run_batch(server)
    streams, views, batch = (server.get(f"/v1/{what}").ok() for what in ("streams", "views", "batch"))
    expect("trips" in json.dumps(streams) and "minutes" in json.dumps(streams), f"streams: {clip(streams)}")
    expect("by_city" in json.dumps(views) and "GROUP BY" in json.dumps(views), f"views: {clip(views)}")
    expect("state" in batch and "generation" in json.dumps(batch), f"batch: {clip(batch)}")
    expect_equal((server.get("/healthz").status, server.get("/readyz").status), (200, 200), "health")
    text = server.get("/metrics").text()
    names = set(re.findall(r"^(millrace_\w+)", text, re.MULTILINE))
    expect("millrace_audit_drift_rows" in names and len(names) >= 10, f"metrics: {sorted(names)}")
    for name in names:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        expect(f"# HELP {name} " in text or f"# HELP {base} " in text, f"{name} has no help text")
    expect(server.url.startswith("http://127.0.0.1:"), server.url)
    expect("curl" in server.stdout() and server.url in server.stdout(), f"what up prints: {server.stdout()}")
