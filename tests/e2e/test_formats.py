"""Events in and answers out in every format, over HTTP, against the real server."""
import csv
import gzip
import io
import json
import shutil
import struct
import subprocess
import zlib

from harness import JSON, NDJSON, expect, expect_equal

STREAM = ("CREATE STREAM readings (at TIMESTAMP, site VARCHAR, n BIGINT, v DOUBLE, price DECIMAL(9,2), flag BOOLEAN,"
          " extra JSON) WITH (time = at)")
VIEW = "CREATE MATERIALIZED VIEW by_site AS SELECT site, count(*) AS n, sum(v) AS total FROM readings GROUP BY site"
EVENTS = "/v1/streams/readings/events"


def started(test):
    server = test.server().start()
    server.sql(STREAM)
    server.sql(VIEW)
    return server


def post(server, body, content_type, query="", headers=None):
    if isinstance(body, str):
        body = body.encode()
    return server.connect().request("POST", EVENTS + query, body, {"Content-Type": content_type, **(headers or {})})


def rows(server, columns="site, n, v, price, flag, extra"):
    return server.sql(f"SELECT {columns} FROM readings ORDER BY _offset")["rows"]


def test_csv_gives_the_same_values_as_json(test):
    """The same events by CSV and by JSON Lines are the same rows."""
    server = started(test)
    reply = post(server, 'site,at,n,v,price,flag,extra\r\n"a, b",2026-01-01T00:00:00Z,9007199254740993,0.1,12.50,TRUE,'
                 '"{""x"":1}"\r\n,1000,,,,,\r\n', "text/csv")
    expect_equal(reply.status, 200, reply.text())
    expect_equal(reply.json()["accepted"], 2, "records taken")
    lines = [{"site": "a, b", "at": "2026-01-01T00:00:00Z", "n": "9007199254740993", "v": 0.1, "price": "12.50",
              "flag": True, "extra": {"x": 1}}, {"at": 1000}]
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    expect_equal(post(server, text, NDJSON).status, 200, "JSON Lines")
    got = rows(server, '"at", site, n, v, price, flag, extra')
    expect_equal(got[:2], got[2:], "rows by CSV")
    server.kill()
    server.start()
    expect_equal(rows(server, '"at", site, n, v, price, flag, extra'), got, "rows after a crash")


def test_bad_records_are_quarantined_dropped_or_end_the_request(test):
    """on_error says what becomes of a request with a bad record, and a CSV record comes back from quarantine."""
    server = started(test)
    body = "at,site,n\n1000,a,1\n1000,b,x\n"
    reply = post(server, body, "text/csv", "?on_error=reject")
    expect_equal((reply.status, reply.json()["accepted"]), (422, 0), "reject")
    expect_equal(reply.json()["rejected"][0]["line"], 3, "line of the bad record")
    expect_equal(rows(server, "site"), [], "rows after reject")
    expect_equal(post(server, body, "text/csv", "?on_error=partial").json()["accepted"], 1, "partial")
    expect_equal(server.sql("SELECT count(*) FROM readings__quarantine")["rows"], [[0]], "quarantine after partial")
    expect_equal(post(server, body, "text/csv").json()["accepted"], 1, "quarantine")
    expect_equal(server.sql("SELECT endpoint, code FROM readings__quarantine")["rows"],
                 [["http as text/csv", "MR2003"]], "quarantine")
    expect_equal(post(server, body, "text/csv", "?on_error=maybe").status, 400, "another on_error")
    expect_equal(server.sql("REPLAY QUARANTINE readings")["rows"], [[0, 0, 1]], "replay of what is still bad")


def test_answers_come_as_accept_or_format_asks(test):
    """JSON, JSON Lines, CSV and Arrow of a view and a SELECT, by Accept and by ?format=, packed and plain."""
    server = started(test)
    post(server, "at,site,v\n1000,\"a \"\"q\"\"\",1.5\n1000,,2\n", "text/csv")
    get = lambda target, headers=None: server.connect().request("GET", target, None, headers or {})
    answer = get("/v1/views/by_site?order=site", {"Accept": "text/html, text/csv;q=0.9"})
    expect_equal(list(csv.reader(io.StringIO(answer.text()))), [["site", "n", "total"], ['a "q"', "1", "1.5"],
                                                                ["", "1", "2.0"]], "CSV")
    expect_equal(json.loads(answer.headers["millrace-coverage"])["delta_end"], {"0": 2}, "coverage")
    answer = get("/v1/views/by_site?order=site&format=jsonl", {"Accept": "text/csv"})
    expect_equal([json.loads(line) for line in answer.text().splitlines()],
                 [{"site": 'a "q"', "n": 1, "total": 1.5}, {"site": None, "n": 1, "total": 2.0}], "JSON Lines")
    expect_equal(get("/v1/views/by_site?format=xml").status, 400, "an unknown format")
    select = json.dumps({"sql": "SELECT i, i::VARCHAR AS t FROM range(100000) r(i)"}).encode()
    ask = lambda headers: server.connect().request("POST", "/v1/sql", select, {"Content-Type": JSON, **headers})
    arrow = ask({"Accept": "application/vnd.apache.arrow.stream"})
    expect_equal(arrow.headers["content-type"], "application/vnd.apache.arrow.stream", "type")
    expect(arrow.body.startswith(b"\xff\xff\xff\xff") and arrow.body.endswith(b"\xff\xff\xff\xff\0\0\0\0"), "frames")
    expect(struct.pack("<q", 99999) in arrow.body, "the last value")
    plain = ask({"Accept": "text/csv"})
    expect_equal(len(plain.text().splitlines()), 100001, "lines of CSV")
    packed = ask({"Accept": "text/csv", "Accept-Encoding": "gzip"})
    expect_equal(gzip.decompress(packed.body), plain.body, "gzip")
    smaller = ask({"Accept": "text/csv", "Accept-Encoding": "gzip, zstd"})
    expect_equal(smaller.headers.get("content-encoding"), "zstd", "the better encoding")
    expect(smaller.body.startswith(b"\x28\xb5\x2f\xfd"), "a frame of zstd")


def test_curl_posts_a_file_and_asks_for_csv(test):
    """What the documentation says with curl works with curl."""
    curl = shutil.which("curl")
    expect(curl, "curl is not here")
    server = started(test)
    url = f"http://127.0.0.1:{server.port}"
    run = lambda *args, data=b"": subprocess.run([curl, "-sS", "--max-time", "20", *args], input=data,
                                                 capture_output=True, check=True).stdout
    body = gzip.compress(b"at,site,v\n1000,a,1\n2000,a,2\n")
    answer = run("-H", "Content-Type: text/csv", "-H", "Content-Encoding: gzip", "--data-binary", "@-",
                 url + EVENTS, data=body)
    expect_equal(json.loads(answer)["accepted"], 2, "records taken")
    expect_equal(run("-H", "Accept: text/csv", url + "/v1/views/by_site"), b"site,n,total\r\na,2,3.0\r\n", "CSV")


REGISTRY = "application/vnd.schemaregistry.v1+json"


def avro_long(value):
    bits = (value << 1) ^ (value >> 63)
    out = bytearray()
    while bits >= 0x80:
        out.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes(out + bytes([bits]))


def avro_text(text):
    data = text if isinstance(text, bytes) else text.encode()
    return avro_long(len(data)) + data


def registry(server, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    return server.connect().request(method, path, data, {"Content-Type": REGISTRY} if data else {})


AVRO = json.dumps({"type": "record", "name": "reading", "fields": [
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "site", "type": ["null", "string"]}, {"name": "v", "type": "double"}]})


def avro_reading(at, site, v):
    return avro_long(at) + (avro_long(0) if site is None else avro_long(1) + avro_text(site)) + struct.pack("<d", v)


def test_avro_containers_and_framed_records(test):
    """A container file packed with deflate, and a record in Confluent's frame whose schema was registered."""
    server = started(test)
    sync = bytes(range(16))
    records = avro_reading(1000, "a", 1.5) + avro_reading(2000, None, -2.0)
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(records) + packer.flush()
    body = (b"Obj\x01" + avro_long(2) + avro_text("avro.schema") + avro_text(AVRO) + avro_text("avro.codec")
            + avro_text("deflate") + avro_long(0) + sync + avro_long(2) + avro_text(packed) + sync)
    expect_equal(post(server, body, "application/avro").json()["accepted"], 2, "records of the container")
    reply = registry(server, "POST", "/subjects/readings-value/versions", {"schema": AVRO})
    number = reply.json()["id"]
    frame = b"\0" + struct.pack(">I", number) + avro_reading(3000, "b", 0.25)
    expect_equal(post(server, frame, "avro/binary").json()["accepted"], 1, "the framed record")
    expect_equal(post(server, frame[:1] + struct.pack(">I", 99) + frame[5:], "avro/binary").json()["rejected"][0]["code"],
                 "MR2012", "an unknown schema")
    expected = [["1970-01-01 00:00:01", "a", 1.5], ["1970-01-01 00:00:02", None, -2.0], ["1970-01-01 00:00:03", "b", 0.25]]
    expect_equal(rows(server, '"at", site, v'), expected, "rows")
    server.kill()
    server.start()
    expect_equal(rows(server, '"at", site, v'), expected, "rows after a crash")
    expect_equal(post(server, frame, "avro/binary").json()["accepted"], 1, "the schema outlives the crash")


def test_the_registry_speaks_the_usual_api(test):
    """Register, look up, list, check compatibility, configure, delete: status and codes that clients know."""
    server = started(test)
    call = lambda *args: (lambda r: (r.status, r.json()))(registry(server, *args))
    record = lambda *fields: json.dumps({"type": "record", "name": "r", "fields": list(fields)})
    x, y = {"name": "x", "type": "long"}, {"name": "y", "type": "string"}
    first = record(x)
    expect_equal(call("GET", "/subjects"), (200, []), "no subjects")
    expect_equal(call("POST", "/subjects/s%2Fa/versions", {"schema": first}), (200, {"id": 1}), "register")
    expect_equal(call("POST", "/subjects/s%2Fa/versions", {"schema": first, "schemaType": "AVRO"}), (200, {"id": 1}), "again")
    expect_equal(call("POST", "/subjects/s%2Fa", {"schema": first})[1]["version"], 1, "look up")
    expect_equal(call("GET", "/subjects"), (200, ["s/a"]), "subjects")
    expect_equal(call("GET", "/schemas/ids/1"), (200, {"schema": first}), "by id")
    expect_equal(call("GET", "/schemas/ids/1/versions"), (200, [{"subject": "s/a", "version": 1}]), "uses")
    expect_equal(call("GET", "/subjects/s%2Fa/versions/latest")[1],
                 {"subject": "s/a", "version": 1, "id": 1, "schema": first}, "latest")
    wrong = {"schema": record(x, y)}
    status, answer = call("POST", "/subjects/s%2Fa/versions", wrong)
    expect_equal((status, answer["error_code"]), (409, 409), "incompatible")
    check = "/compatibility/subjects/s%2Fa/versions/latest?verbose=true"
    status, answer = call("POST", check, wrong)
    expect_equal((status, answer["is_compatible"], len(answer["messages"])), (200, False, 1), "check")
    expect_equal(call("POST", check, {"schema": record(x, {**y, "default": ""})})[1]["is_compatible"], True, "check")
    expect_equal(call("GET", "/config"), (200, {"compatibilityLevel": "BACKWARD"}), "the level")
    expect_equal(call("GET", "/config/s%2Fa")[1]["error_code"], 40408, "no level of its own")
    expect_equal(call("PUT", "/config/s%2Fa", {"compatibility": "NONE"}), (200, {"compatibility": "NONE"}), "set")
    expect_equal(call("PUT", "/config", {"compatibility": "SOME"})[1]["error_code"], 42203, "an unknown level")
    expect_equal(call("POST", "/subjects/s%2Fa/versions", wrong), (200, {"id": 2}), "with NONE")
    for target, code in {"/subjects/none/versions": 40401, "/subjects/s%2Fa/versions/7": 40402,
                         "/schemas/ids/99": 40403, "/subjects/s%2Fa/versions/x": 42202}.items():
        status, answer = call("GET", target)
        expect_equal((status, answer["error_code"]), (code // 100, code), target)
    expect_equal(call("POST", "/subjects/s/versions", {"schema": "{"})[1]["error_code"], 42201, "no schema")
    expect_equal(call("GET", "/mode"), (200, {"mode": "READWRITE"}), "the mode")
    expect_equal(call("DELETE", "/subjects/s%2Fa/versions/1"), (200, 1), "delete a version")
    server.kill()
    server.start()
    expect_equal(call("GET", "/subjects/s%2Fa/versions"), (200, [2]), "versions after a crash")
    expect_equal(call("DELETE", "/subjects/s%2Fa"), (200, [2]), "delete the subject")
    expect_equal(call("DELETE", "/subjects/s%2Fa?permanent=true"), (200, [1, 2]), "for good")
    expect_equal(call("GET", "/schemas/ids/2")[0], 200, "data of it can still be read")


def test_cloud_events_in_their_three_forms(test):
    """Binary, structured and batch give the same columns; source and id together are a dedup key."""
    server = test.server().start()
    server.sql("CREATE STREAM readings (ce_time TIMESTAMP, ce_id VARCHAR, ce_source VARCHAR, ce_key VARCHAR, v DOUBLE)"
               " WITH (time = ce_time, dedup = ce_key)")
    envelope = lambda number: {"specversion": "1.0", "id": str(number), "source": "/a b", "type": "t",
                               "time": "2026-01-01T00:00:00Z"}
    headers = {f"ce-{name}": value.replace(" ", "%20") for name, value in envelope(1).items()}
    expect_equal(post(server, '{"v": 1}', JSON, "", headers).json()["accepted"], 1, "binary")
    one = json.dumps({**envelope(2), "data": {"v": 2}})
    expect_equal(post(server, one, "application/cloudevents+json; charset=utf-8").json()["accepted"], 1, "structured")
    batch = json.dumps([{**envelope(number), "data": {"v": number}} for number in (1, 2, 3)])
    reply = post(server, batch, "application/cloudevents-batch+json").json()
    expect_equal((reply["accepted"], reply["duplicates"]), (1, 2), "the batch repeats two events")
    expect_equal(rows(server, "ce_id, ce_source, ce_key, v"),
                 [[str(n), "/a b", f"/a b {n}", float(n)] for n in (1, 2, 3)], "rows")
    missing = {name: value for name, value in headers.items() if name != "ce-id"}
    expect_equal(post(server, "{}", JSON, "", missing).status, 400, "an event without an id")
    reply = post(server, '{"v": "x"}', JSON, "", {**headers, "ce-id": "4"})
    expect_equal(reply.status, 422, "a bad record")
    expect_equal(server.sql("SELECT count(*) FROM readings__quarantine WHERE endpoint LIKE '%ce_id%'")["rows"], [[1]],
                 "its attributes are kept")


def test_an_idempotency_key_stores_a_request_once(test):
    """The same key and bytes get the same answer and store nothing, across kills and lake commits; others get 422."""
    server = test.server(config={"lake": {"commit_interval_ms": 50}}).start()
    server.sql(STREAM)
    send = lambda key, body: post(server, body, "text/csv", "", {"Idempotency-Key": key})
    answers = {}
    for number in range(30):
        body = f"at,n\n1000,{number}\n1000,x\n"
        key = f"key {number}" if number % 2 else f'"key {number}"'
        reply = send(key, body)
        expect_equal((reply.status, reply.headers.get("idempotent-replayed")), (200, None), f"request {number}")
        answers[key] = (body, reply.json())
        if number % 10 == 4:
            server.kill()
            server.start()
        if number % 10 == 8:
            server.run_batch()
    for again in range(2):
        for key, (body, answer) in answers.items():
            reply = send(key, body)
            expect_equal((reply.json(), reply.headers.get("idempotent-replayed")), (answer, "true"), f"again {key}")
        server.kill()
        server.start()
    expect_equal(server.sql("SELECT count(*), count(DISTINCT n) FROM readings")["rows"], [[30, 30]], "stored")
    expect_equal(server.sql("SELECT count(*) FROM readings__quarantine")["rows"], [[30]], "quarantined")
    reply = send("key 1", "at,n\n1000,77\n")
    expect_equal((reply.status, reply.problem_code()), (422, "MR3011"), "another body")
    expect_equal(send("k" * 256, "at,n\n").status, 400, "a key that is too long")


def test_protobuf_framed_and_by_content_type(test):
    """A registered .proto reads framed messages, and bare ones whose Content-Type names it."""
    server = started(test)
    proto = ('syntax = "proto3"; import "google/protobuf/timestamp.proto"; '
             'message R { google.protobuf.Timestamp at = 1; string site = 2; double v = 3; }')
    reply = registry(server, "POST", "/subjects/readings-value/versions", {"schema": proto, "schemaType": "PROTOBUF"})
    number = reply.json()["id"]
    message = b"\x0a\x02\x08\x01" + b"\x12\x01a" + b"\x19" + struct.pack("<d", 1.5)
    frame = b"\0" + struct.pack(">I", number) + b"\0" + message
    expect_equal(post(server, frame, "application/x-protobuf").json()["accepted"], 1, "framed")
    bare = f"application/x-protobuf; schema={number}; message=R"
    expect_equal(post(server, message, bare).json()["accepted"], 1, "bare")
    two = (bytes([len(message)]) + message) * 2
    expect_equal(post(server, two, bare + "; delimited=true").json()["accepted"], 2, "delimited")
    expect_equal(rows(server, '"at", site, v'), [["1970-01-01 00:00:01", "a", 1.5]] * 4, "rows")
    server.kill()
    server.start()
    expect_equal(post(server, frame, "application/x-protobuf").json()["accepted"], 1, "after a crash")
