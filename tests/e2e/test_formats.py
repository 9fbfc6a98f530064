"""Events in and answers out in every format, over HTTP, against the real server."""
import csv
import gzip
import io
import json
import shutil
import struct
import subprocess

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
