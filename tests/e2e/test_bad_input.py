"""Bad input of every kind gets the named error, and the server keeps serving."""
import gzip
import json
import pathlib
import re
import socket
import time

from harness import JSON, NDJSON, clip, expect, expect_equal, rows_as_dicts

BODY_MAX = 1 << 20
STREAM = ("CREATE STREAM readings (id BIGINT, at TIMESTAMP, sensor VARCHAR, value DOUBLE, small TINYINT, flag BOOLEAN,"
          " price DECIMAL(9,2), tag UUID, day DATE, extra JSON) WITH (time = at, key = sensor)")
VIEW = "CREATE MATERIALIZED VIEW by_sensor AS SELECT sensor, small, count(*) AS n, sum(value) AS total FROM readings GROUP BY sensor, small"


def started(test, config=None):
    server = test.server(config=config or {"http": {"body_bytes_max": BODY_MAX}}).start()
    server.sql(STREAM)
    server.sql(VIEW)
    return server


def good(number):
    return {"id": number, "at": "2026-01-01T00:00:00", "sensor": "a", "value": 1.0}


def still_serves(server, what):
    expect(server.alive(), f"the server died of {what}: {server.stderr()[-2000:]}")
    expect_equal(server.connect().request("GET", "/healthz").status, 200, f"health after {what}")


def raw(server, data, timeout=5.0):
    """Sends bytes on a connection of its own; what comes back until the other side closes or nothing comes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        out = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                out += piece
        except OSError:
            pass
        return out


def status_of(answer):
    head = answer.split(b"\r\n", 1)[0].split()
    return int(head[1]) if len(head) > 1 and head[0].startswith(b"HTTP/") else None


def resident_bytes(server):
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def test_bad_requests_get_the_named_status_and_code(test):
    """Routes, methods, media types, encodings, sizes, parameters: each has its error."""
    server = started(test)
    events = "/v1/streams/readings/events"
    line = json.dumps(good(1)).encode()
    cases = [
        ("GET", "/nope", None, {}, {404}, {"MR3005"}),
        ("GET", "/", None, {}, {200, 404}, {None, "MR3005"}),
        ("GET", "/v1/streams/readings/nope", None, {}, {404}, {"MR3005"}),
        ("DELETE", "/v1/sql", None, {}, {405}, {"MR3006"}),
        ("PUT", events, line, {"Content-Type": NDJSON}, {405}, {"MR3006"}),
        ("GET", "/v1/sql", None, {}, {405}, {"MR3006"}),
        ("POST", "/v1/streams/nope/events", line, {"Content-Type": NDJSON}, {404}, {"MR1201"}),
        ("GET", "/v1/views/nope", None, {}, {404}, {"MR1202"}),
        ("POST", events, line, {"Content-Type": "text/plain"}, {415}, {"MR3002"}),
        ("POST", events, line, {}, {415}, {"MR3002"}),
        ("POST", events, line, {"Content-Type": NDJSON, "Content-Encoding": "br"}, {415}, {"MR3003"}),
        ("POST", events, b"not gzip", {"Content-Type": NDJSON, "Content-Encoding": "gzip"}, {400, 415}, {"MR3003"}),
        ("POST", events, gzip.compress(line)[:-5], {"Content-Type": NDJSON, "Content-Encoding": "gzip"}, {400, 415}, {"MR3003"}),
        ("POST", events, b"not zstd", {"Content-Type": NDJSON, "Content-Encoding": "zstd"}, {400, 415}, {"MR3003"}),
        ("POST", events, b" " * (BODY_MAX + 1), {"Content-Type": NDJSON}, {413}, {"MR3001"}),
        ("POST", events, gzip.compress(b" " * (200 << 20)), {"Content-Type": NDJSON, "Content-Encoding": "gzip"}, {413}, {"MR3001"}),
        ("POST", "/v1/streams/readings__quarantine/events", b"{}", {"Content-Type": NDJSON}, {400, 403, 404, 409}, None),
        ("POST", "/v1/sql", b"", {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/sql", b"{", {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/sql", b"[]", {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/sql", b"{}", {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/sql", b'{"sql": 5}', {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/sql", b'{"sql": ""}', {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/sql", b'{"sql": "SELECT \xff"}', {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/sql", b'{"sql": "SELECT \\u0000"}', {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/sql", b'{"sql": "SELEC 1"}', {"Content-Type": JSON}, {400}, {"MR1001", "MR1002"}),
        ("POST", "/v1/sql", b'{"sql": "SELECT FROM WHERE"}', {"Content-Type": JSON}, {400}, {"MR1001"}),
        ("POST", "/v1/sql", b'{"sql": "SELECT nope FROM readings"}', {"Content-Type": JSON}, {400}, {"MR1203", "MR1304"}),
        ("POST", "/v1/sql", b'{"sql": "SELECT * FROM nope"}', {"Content-Type": JSON}, {404}, {"MR1201", "MR1202"}),
        ("POST", "/v1/sql", b'{"sql": "' + b"(" * 20000 + b'"}', {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/batch", b"{", {"Content-Type": JSON}, {400}, None),
        ("POST", "/v1/batch", b'{"full": 3}', {"Content-Type": JSON}, {400}, None),
        ("GET", "/v1/views/by_sensor?nope=1", None, {}, {400}, {"MR1203"}),
        ("GET", "/v1/views/by_sensor?limit=many", None, {}, {400}, {"MR3007"}),
        ("GET", "/v1/views/by_sensor?limit=-1", None, {}, {400}, {"MR3007"}),
        ("GET", "/v1/views/by_sensor?order=nope", None, {}, {400}, {"MR1203"}),
        ("GET", "/v1/views/by_sensor?small=word", None, {}, {400}, None),
        ("GET", "/v1/views/by_sensor?sensor=%ff", None, {}, {400}, None),
        ("GET", "/v1/views/%2e%2e%2fcatalog.db", None, {}, {400, 404}, None),
        ("GET", "/v1/views/by_sensor%00", None, {}, {400, 404}, None),
        ("GET", "/v1/views/..", None, {}, {400, 404}, None),
        ("GET", "/" + "a" * 100_000, None, {}, {400, 404, 414, 431}, None),
    ]
    for method, path, body, headers, statuses, codes in cases:
        what = f"{method} {path[:60]} {clip((body or b'')[:60])} {headers}"
        response = server.connect().request(method, path, body, headers)
        expect(response.status in statuses, f"{what}: HTTP {response.status}, not {statuses}: {clip(response.text())}")
        if response.status >= 400:
            expect(response.headers.get("content-type", "").startswith("application/problem+json"),
                   f"{what}: content type {response.headers.get('content-type')}")
            document = response.json()
            expect_equal(document.get("status"), response.status, f"{what}: the status in the document")
            expect(document.get("code") and document.get("detail"), f"{what}: {clip(document)}")
            if codes is not None:
                expect(document["code"] in codes, f"{what}: code {document['code']}, not {codes}: {document['detail']}")
        if response.status == 405:
            expect(response.headers.get("allow"), f"{what}: no Allow header")
    still_serves(server, "bad requests")


# One JSON Lines record each, with the codes that may name what is wrong.
BAD_RECORDS = [
    (b"{", {"MR2001"}),
    (b"nope", {"MR2001"}),
    (b'{"id": 1,}', {"MR2001"}),
    (b"{'id': 1}", {"MR2001"}),
    (b'{"id": 01, "at": "2026-01-01"}', {"MR2001"}),
    (b'{"id": NaN, "at": "2026-01-01"}', {"MR2001"}),
    (b'{"id": +1, "at": "2026-01-01"}', {"MR2001"}),
    (b'{"at": "2026-01-01"} {"at": "2026-01-01"}', {"MR2001"}),
    (b'[{"at": "2026-01-01"}]', {"MR2001", "MR2003"}),
    (b"5", {"MR2001", "MR2003"}),
    (b"null", {"MR2001", "MR2003"}),
    (b'{"id": 1, "sensor": "a"}', {"MR2002"}),
    (b'{"id": "word", "at": "2026-01-01"}', {"MR2003"}),
    (b'{"id": true, "at": "2026-01-01"}', {"MR2003"}),
    (b'{"id": {}, "at": "2026-01-01"}', {"MR2003"}),
    (b'{"id": 1, "at": "2026-13-01"}', {"MR2003", "MR2004"}),
    (b'{"id": 1, "at": "yesterday"}', {"MR2003"}),
    (b'{"id": 1, "at": "2026-01-01", "flag": "maybe"}', {"MR2003"}),
    (b'{"id": 1, "at": "2026-01-01", "tag": "123"}', {"MR2003"}),
    (b'{"id": 1, "at": "2026-01-01", "day": "2026-02-30"}', {"MR2003", "MR2004"}),
    (b'{"id": 9223372036854775808, "at": "2026-01-01"}', {"MR2004"}),
    (b'{"id": 1.5, "at": "2026-01-01"}', {"MR2003", "MR2004"}),
    (b'{"id": 1, "at": "2026-01-01", "small": 128}', {"MR2004"}),
    (b'{"id": 1, "at": "2026-01-01", "small": -129}', {"MR2004"}),
    (b'{"id": 1, "at": "2026-01-01", "value": 1e999}', {"MR2004"}),
    (b'{"id": 1, "at": "2026-01-01", "price": 12345678.9}', {"MR2004"}),
    (b'{"id": 1, "at": "2026-01-01", "price": 1.005}', {"MR2003", "MR2004"}),
    (b'{"id": 1, "id": 2, "at": "2026-01-01"}', {"MR2005"}),
    (b'{"id": 1, "at": "2026-01-01", "extra": ' + b"[" * 100 + b"]" * 100 + b"}", {"MR2006"}),
    (b'{"id": 1, "at": "2026-01-01", "nobody": ' + b"[" * 5000 + b"]" * 5000 + b"}", {"MR2006"}),
    (b'{"id": 1, "at": "2026-01-01", "sensor": "\xff\xfe"}', {"MR2007", "MR2001"}),
    (b'{"id": 1, "at": "2026-01-01", "sensor": "\xc0\x80"}', {"MR2007", "MR2001"}),
    (b'{"id": 1, "at": "2026-01-01", "sensor": "\xed\xa0\x80"}', {"MR2007", "MR2001"}),
    (b'{"id": 1, "at": "2026-01-01", "sensor": "\\ud800"}', {"MR2007", "MR2001"}),
    (b'{"id": 1, "at": "2026-01-01", "sensor": "\\x"}', {"MR2001"}),
    (b'{"id": 1, "at": "2026-01-01", "sensor": "tab\there"}', {"MR2001"}),
]


def test_a_bad_record_is_named_with_line_and_reason_and_stops_nothing(test):
    """Promise 6. Each bad record goes to quarantine with its bytes; the good ones around it count."""
    server = started(test)
    accepted = 0
    for number, (record, codes) in enumerate(BAD_RECORDS):
        body = b"\n".join([json.dumps(good(2 * number)).encode(), record, json.dumps(good(2 * number + 1)).encode()])
        answer = server.request("POST", "/v1/streams/readings/events", body, {"Content-Type": NDJSON}).ok()
        what = clip(record[:80])
        expect_equal(answer["accepted"], 2, f"accepted around {what}")
        expect_equal(len(answer["rejected"]), 1, f"rejected of {what}: {clip(answer)}")
        rejected = answer["rejected"][0]
        expect_equal(rejected["line"], 2, f"the line of {what}")
        expect(rejected["code"] in codes, f"{what}: {rejected['code']} ({rejected['reason']}), not {codes}")
        expect(rejected["reason"], f"{what} has no reason")
        accepted += 2
        alone = server.request("POST", "/v1/streams/readings/events", record, {"Content-Type": NDJSON})
        expect_equal(alone.status, 422, f"the status of {what} alone")
        expect_equal((alone.json()["accepted"], len(alone.json()["rejected"])), (0, 1), f"the answer to {what} alone")
    rows = rows_as_dicts(server.sql("SELECT code, reason, line, raw FROM readings__quarantine ORDER BY _offset"))
    expect_equal(len(rows), 2 * len(BAD_RECORDS), "records in quarantine")
    for number, (record, codes) in enumerate(BAD_RECORDS):
        row = rows[2 * number]
        expect(row["code"] in codes, f"the quarantine's code of {clip(record)} is {row['code']}")
        raw_bytes = re.sub(rb"\\x([0-9A-F]{2})", lambda byte: bytes([int(byte[1], 16)]), row["raw"].encode())
        expect(raw_bytes == record, f"raw bytes of {clip(record)}: {clip(row['raw'])}")
    view = server.view("by_sensor", sensor="a")
    expect_equal(sum(row["n"] for row in rows_as_dicts(view)), accepted, "the view's count")
    expect_equal(view["coverage"]["quarantined"], len(rows), "quarantined in the coverage")
    expect_equal(server.sql_rows("SELECT count(*) FROM readings")[0][0], accepted, "the stream's count")
    still_serves(server, "bad records")


def test_json_bodies_report_bad_elements_by_their_number(test):
    """application/json: one object, an array, bad elements, a bad body."""
    server = started(test)

    def post(body):
        return server.request("POST", "/v1/streams/readings/events", body, {"Content-Type": JSON})

    expect_equal(post(json.dumps(good(1)).encode()).ok()["accepted"], 1, "one object")
    answer = post(json.dumps([good(2), {"id": "x", "at": "2026-01-01"}, good(3)]).encode()).ok()
    expect_equal((answer["accepted"], [r["line"] for r in answer["rejected"]]), (2, [2]), "an array with one bad element")
    expect_equal(post(b'[{"id": "x", "at": "2026-01-01"}]').status, 422, "an array of one bad element")
    for body in (b"", b"{", b"[{]", b'"text"', b"[" * 100_000):
        response = post(body)
        expect(response.status in (400, 422), f"{clip(body[:40])}: HTTP {response.status}: {clip(response.text())}")
    expect_equal(server.sql_rows("SELECT count(*) FROM readings")[0][0], 3, "events that count")
    still_serves(server, "bad JSON bodies")


def test_malformed_http_is_refused_and_others_are_served(test):
    """Request lines, lengths, chunks, headers that are wrong, and random bytes."""
    server = started(test)
    head = b"POST /v1/streams/readings/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
    cases = {
        "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        "no version": b"GET /healthz\r\n\r\n",
        "a version that is not": b"GET /healthz HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        "a length that is no number": head + b"Content-Length: ten\r\n\r\n",
        "a negative length": head + b"Content-Length: -1\r\n\r\n",
        "a giant length": head + b"Content-Length: 9223372036854775807\r\n\r\n",
        "a length beyond 64 bits": head + b"Content-Length: 99999999999999999999999\r\n\r\n",
        "two lengths": head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        "length and chunks": head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a bad chunk size": head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "a giant chunk": head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
        "a header without end": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 2_000_000,
        "many headers": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"".join(b"H%d: 1\r\n" % i for i in range(20_000)) + b"\r\n",
        "a space in a header name": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nBad Name: 1\r\n\r\n",
        "a NUL in the target": b"GET /v1/views/\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    }
    for what, data in cases.items():
        answer = raw(server, data)
        status = status_of(answer)
        expect(status is None or 400 <= status < 600 and status != 500, f"{what}: {clip(answer[:300])}")
        still_serves(server, what)
    template = head + b"Content-Length: 34\r\n\r\n" + b'{"id": 1, "at": "2026-01-01 00:00"}'
    for _ in range(300):
        data = bytearray(template)
        for _ in range(test.rng.randrange(1, 6)):
            at = test.rng.randrange(len(data))
            data[at:at + test.rng.randrange(3)] = bytes(test.rng.randrange(256) for _ in range(test.rng.randrange(4)))
        status = status_of(raw(server, bytes(data)))
        expect(status is None or status != 500, f"random change: HTTP {status} for {bytes(data)!r}")
    still_serves(server, "random requests")


def test_bombs_and_slow_clients_cost_little(test):
    """Compressed bombs are stopped at the limit; half-open requests do not keep others from being served."""
    server = started(test)
    server.post("readings", [good(1)])
    before = resident_bytes(server)
    bomb = gzip.compress(b"\n" * (300 << 20))
    for _ in range(5):
        response = server.connect().request("POST", "/v1/streams/readings/events", bomb,
                                            {"Content-Type": NDJSON, "Content-Encoding": "gzip"})
        expect_equal((response.status, response.problem_code()), (413, "MR3001"), "a gzip bomb")
    grown = resident_bytes(server) - before
    expect(grown < 64 << 20, f"five bombs left {grown >> 20} MiB more in memory")
    slow = []
    try:
        for _ in range(200):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=5.0)
            connection.sendall(b"POST /v1/streams/readings/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Len")
            slow.append(connection)
        begin = time.monotonic()
        server.post("readings", [good(2)])
        took = time.monotonic() - begin
        expect(took < 1.0, f"a request beside 200 slow clients took {took:.2f} s")
    finally:
        for connection in slow:
            connection.close()
    still_serves(server, "slow clients")


def test_hostile_names_are_refused_or_just_names(test):
    """A name is never a path: bad ones are refused, strange column names survive the way through."""
    server = started(test)
    for name in ("../up", "a/b", "a.b", "", " ", "1abc", "a b", "a" * 64, "r\u00e9sum\u00e9", "a;b", "a'b", "#", "+"):
        response = server.request("POST", "/v1/sql", json.dumps(
            {"sql": f'CREATE STREAM "{name}" (at TIMESTAMP) WITH (time = at)'}).encode(), {"Content-Type": JSON})
        expect(response.status == 400, f"stream name {name!r}: HTTP {response.status}: {clip(response.text())}")
    response = server.request("POST", "/v1/sql", json.dumps(
        {"sql": "CREATE STREAM READINGS (at TIMESTAMP) WITH (time = at)"}).encode(), {"Content-Type": JSON})
    expect_equal((response.status, response.problem_code()), (409, "MR1204"), "a name that differs in case only")
    strange = ['quo"te', "sp ace", "sel;ect", "\u6771\u4eac", "it's", "select"]
    columns = ", ".join('"' + name.replace('"', '""') + '" VARCHAR' for name in strange)
    server.sql(f"CREATE STREAM odd (at TIMESTAMP, {columns}) WITH (time = at)")
    event = {"at": "2026-01-01 00:00:00", **{name: f"value of {name}" for name in strange}}
    server.post("odd", [event])
    row = rows_as_dicts(server.sql("SELECT * FROM odd"))[0]
    for name in strange:
        expect_equal(row[name], event[name], f"column {name!r}")
    injected = "x' OR '1'='1"
    expect_equal(server.view("by_sensor", sensor=injected)["rows"], [], "a key with a quote in it")
    still_serves(server, "hostile names")
