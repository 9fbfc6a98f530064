"""Floods of every kind: the server's memory stays in its budget, and who behaves well is served as before.

Each test prints what the memory grew by, and the latency of a healthy client that all the while posts an event and
reads it back, and publishes over MQTT and gets its message. The bounds of time are wide: they tell a server that
stands still from one that does not, on any machine.
"""
import contextlib
import json
import resource
import socket
import struct
import threading
import time

from harness import JSON, NDJSON, NoAnswer, clip, expect, expect_equal
from mqtt_clients import Options, PahoClient, PahoClient5
from test_mqtt_hostile import Raw, connect, memory, packet, text

MIB = 1 << 20
SLOWEST = 10.0
LIMITS = {
    "http": {"connections_max": 700, "body_bytes_max": 4 * MIB},
    "log": {"segment_bytes": 4 * MIB, "queue_bytes_max": 16 * MIB},
    "mqtt": {"connections_max": 700, "packet_bytes_max": MIB, "subscriptions_max": 5000, "retained_max": 1500,
             "retained_bytes_max": 8 * MIB, "queue_messages_max": 10_000, "queue_bytes_max": 4 * MIB,
             "message_bytes_max": 32 * MIB, "sessions_max": 900},
}


def started(test):
    """A server with small limits, and a stream and a view for the healthy client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(hard, 8192)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    server = test.server(config=LIMITS).start()
    server.sql("CREATE STREAM beats (n BIGINT)")
    server.sql("CREATE MATERIALIZED VIEW pulse AS SELECT count(*) AS beats FROM beats")
    return server


class Healthy:
    """A client of each protocol that goes on through a flood, and the server's memory meanwhile."""

    def __init__(self, test, server, what):
        self.test, self.server, self.what = test, server, what
        self.http, self.mqtt, self.failure = [], [], None
        self.ended = threading.Event()
        self.before = self.most = memory(server)
        self.connection = server.connect(timeout=20)
        self.client = PahoClient5(Options(port=server.mqtt_port, client_id=f"healthy {what}"))
        self.client.connect()
        self.client.subscribe("healthy/mine", qos=1)

    def _beat(self):
        number = 0
        while not self.ended.wait(0.02):
            begin = time.monotonic()
            answer = self.connection.post_lines("beats", [{"n": number}])
            expect_equal(answer.status, 200, f"posting beside {self.what}: {clip(answer.text())}")
            expect_equal(self.connection.request("GET", "/v1/views/pulse").status, 200, "reading")
            middle = time.monotonic()
            self.client.publish("healthy/mine", str(number), qos=1)
            expect_equal(self.client.receive().payload, str(number).encode(), f"the message beside {self.what}")
            self.http.append(middle - begin)
            self.mqtt.append(time.monotonic() - middle)
            self.most = max(self.most, memory(self.server))
            number += 1

    def _run(self):
        try:
            self._beat()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits for this one
            self.failure = error

    def __enter__(self):
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.ended.set()
        self.thread.join(60)
        self.client.disconnect()
        self.connection.close()

    def served(self, rounds=5):
        """Returns when the healthy client has gone round some times more."""
        wanted = len(self.mqtt) + rounds
        deadline = time.monotonic() + 30
        while len(self.mqtt) < wanted and self.failure is None:
            expect(time.monotonic() < deadline, f"the healthy client stands still beside {self.what}")
            time.sleep(0.01)
        if self.failure is not None:
            raise self.failure

    def check(self, budget):
        self.served()
        grown = self.most - self.before
        self.test.note(f"{self.what}: memory {self.before / MIB:.0f} MiB, grew by at most {grown / MIB:.1f} MiB; healthy"
                       f" client HTTP {spread(self.http)}, MQTT {spread(self.mqtt)}")
        expect(self.server.alive(), f"the server died of {self.what}")
        expect(grown < budget, f"{self.what}: the memory grew by {grown / MIB:.0f} MiB, budget {budget / MIB:.0f}")
        worst = max(self.http + self.mqtt)
        expect(worst < SLOWEST, f"{self.what}: the healthy client once waited {worst:.1f} s")


def spread(times):
    ordered = sorted(times)
    return f"p50 {ordered[len(ordered) // 2] * 1000:.0f} ms, max {ordered[-1] * 1000:.0f} ms"


@contextlib.contextmanager
def sockets():
    opened = []
    try:
        yield opened
    finally:
        for one in opened:
            # Closed with a reset: nothing of a flood lingers.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()


def open_socket(port, data=b"", small=False):
    one = socket.socket()
    if small:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(20)
    one.connect(("127.0.0.1", port))
    if data:
        with contextlib.suppress(OSError):
            one.sendall(data)
    return one


def push(one, data, seconds=2.0):
    """Sends as much as the server takes; it may stop reading, or close."""
    one.settimeout(seconds)
    with contextlib.suppress(OSError):
        one.sendall(data)


def get(path, extra=b""):
    return b"GET " + path.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + extra + b"\r\n"


def test_floods_of_connections(test):
    """A thousand idle connections of each protocol, and as many that come and go: refused beyond the limit."""
    server = started(test)
    with Healthy(test, server, "2,000 connections") as healthy, sockets() as opened:
        for _ in range(1000):
            opened.append(open_socket(server.port))
            opened.append(open_socket(server.mqtt_port))
        healthy.served()
        refused = {}
        for name, port, first in (("HTTP", server.port, get("/healthz")), ("MQTT", server.mqtt_port, connect("late"))):
            with contextlib.suppress(ConnectionError):
                late = open_socket(port, first)
                opened.append(late)
                refused[name] = late.recv(200)
        # Where many are told 503 just now, the next one is closed without a word.
        told = refused.get("HTTP", b"")
        expect(told == b"" or told.startswith(b"HTTP/1.1 503"), f"one connection too many: {told}")
        expect_equal(refused.get("MQTT", b""), b"", "one MQTT connection too many")
        healthy.check(64 * MIB)
    for _ in range(500):  # come and go, some in the middle of a request
        open_socket(server.port, b"POST /v1/sql HTT").close()
        open_socket(server.mqtt_port, connect("coming")[:9]).close()
    deadline = time.monotonic() + 15
    while True:  # the connections that are closed are free for others
        try:
            expect_equal(server.connect().request("GET", "/healthz").status, 200, "a new connection")
            break
        except (NoAnswer, AssertionError):
            expect(time.monotonic() < deadline, "no new connection 15 s after the flood")
            time.sleep(0.05)


def test_floods_of_subscriptions_and_wildcards(test):
    """Subscriptions beyond the limit are refused; filters that match everything cost their own client."""
    server = started(test)
    with Healthy(test, server, "subscriptions and wildcards") as healthy, sockets() as opened:
        raw = Raw(server.mqtt_port, connect("greedy", 5))
        opened.append(raw.socket)
        raw.receive(raw.receive(2)[1])
        reasons = []
        for first in range(0, 8000, 500):
            filters = b"".join(text(f"flood/{number}/+/#") + b"\x00" for number in range(first, first + 500))
            raw.send(packet(0x82, b"\x00\x01\x00" + filters))
            head = raw.receive(1)
            size = shift = 0
            while True:
                byte = raw.receive(1)[0]
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            expect_equal(head, b"\x90", "SUBACK")
            reasons += raw.receive(size)[3:]
        expect_equal((reasons.count(0), set(reasons[5000:])), (5000, {0x97}), "granted, and the rest refused")
        # Every way to match one deep topic, by many clients.
        levels = [f"l{number}" for number in range(12)]
        for client in range(40):
            wild = Raw(server.mqtt_port, connect(f"wild{client}", 5))
            opened.append(wild.socket)
            filters = []
            for number in range(100):
                mask = test.rng.randrange(1 << 12)
                filters.append("/".join("+" if mask >> at & 1 else level for at, level in enumerate(levels)))
            filters += ["#", "+/#", "/".join(["+"] * 12), "/".join(["+"] * 32)]
            wild.send(packet(0x82, b"\x00\x01\x00" + b"".join(text(one) + b"\x00" for one in filters)))
        deep = Raw(server.mqtt_port, connect("deep"))
        opened.append(deep.socket)
        for _ in range(60):
            deep.send(packet(0x30, text("/".join(levels)) + b"x" * 100))
        healthy.served(10)
        for bad in ("#/a", "a+", "a/#/b", "/".join(["+"] * 40), "$share/g", "$share//a", "$share/+/a"):
            raw = Raw(server.mqtt_port, connect("bad", 5))
            raw.receive(raw.receive(2)[1])
            raw.send(packet(0x82, b"\x00\x01\x00" + text(bad) + b"\x00"))
            answer = raw.receive(2)
            expect(answer[0] == 0xE0 or raw.receive(answer[1])[-1] >= 0x80, f"the filter {bad} was granted")
            raw.socket.close()
        healthy.check(64 * MIB)


def test_floods_of_retained_messages_and_sessions(test):
    """Beyond the limits they are refused with the reason; what was kept before stays."""
    server = started(test)
    with Healthy(test, server, "retained messages and sessions") as healthy:
        raw = Raw(server.mqtt_port, connect("keeper", 5))
        raw.receive(raw.receive(2)[1])
        def keep(first, count):
            raw.send(b"".join(packet(0x33, text(f"kept/{first + at}") + (1 + at).to_bytes(2, "big") + b"\x00" + b"r" * 4000)
                              for at in range(count)))
            bodies = [raw.receive(raw.receive(2)[1]) for _ in range(count)]
            return {body[2] if len(body) > 2 else 0 for body in bodies}

        for first in range(0, 1500, 100):
            expect(max(keep(first, 100)) < 0x80, "a retained message within the limit was refused")
        expect_equal(keep(1500, 1), {0x97}, "one too many, after its client has waited for room")
        # Sessions to keep, some asked for at once; two of 900 are those of the clients above.
        refused = 0
        for first in range(0, 1000, 50):
            asked = [Raw(server.mqtt_port, connect(f"session {number}", 4, flags=0)) for number in range(first, first + 50)]
            for one in asked:
                refused += one.receive(4)[3] != 0
                one.socket.close()
        expect_equal(refused, 102, "sessions of 1,000 that were refused")
        healthy.check(96 * MIB)
    # Sessions are full; who has one may come.
    client = PahoClient(Options(port=server.mqtt_port, client_id="session 0", clean=False))
    client.connect()
    client.subscribe("kept/0")
    expect_equal(client.receive().payload, b"r" * 4000, "what was kept")
    client.disconnect()


def test_giant_packets_and_bodies(test):
    """Whoever announces much gets nothing for it; whoever sends much and never ends holds a bounded part."""
    server = started(test)
    with Healthy(test, server, "giant packets") as healthy, sockets() as opened:
        for _ in range(100):  # announced only
            opened.append(open_socket(server.mqtt_port, b"\x10\xff\xff\xff\x7f"))
            opened.append(open_socket(server.port, b"POST /v1/streams/beats/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                                      + NDJSON.encode() + b"\r\nContent-Length: 4000000\r\n\r\n"))
        healthy.served()
        half = packet(0x30, text("t") + b"x" * (MIB - 16))[:-1]
        for number in range(120):  # sent but for their last byte: 120 MiB of MQTT, as much of HTTP
            one = open_socket(server.mqtt_port, connect(f"half {number}"))
            opened.append(one)
            push(one, half)
            one = open_socket(server.port)
            opened.append(one)
            push(one, b"POST /v1/streams/beats/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: " + NDJSON.encode() +
                 b"\r\nContent-Length: 1048576\r\n\r\n" + b" " * (MIB - 1))
        healthy.check(320 * MIB)
        for head in (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
                     b"GET /" + b"p" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"".join(b"H%d: 1\r\n" % i for i in range(5000)) + b"\r\n"):
            answer = exchange(server, head)
            expect(answer.startswith(b"HTTP/1.1 431") or answer.startswith(b"HTTP/1.1 414"), f"{head[:40]}: {answer[:80]}")
        healthy.served()


def test_readers_that_do_not_read(test):
    """Followers, subscribers and plain requests whose answers nobody takes hold a bounded part."""
    server = started(test)
    server.sql("CREATE STREAM rows (k BIGINT, v VARCHAR) WITH (key = k)")
    server.sql("CREATE MATERIALIZED VIEW wide AS SELECT k, max(v) AS v, count(*) AS n FROM rows GROUP BY k")
    server.post("rows", [{"k": k, "v": "v" * 200} for k in range(3000)])
    with Healthy(test, server, "readers that do not read") as healthy, sockets() as opened:
        upgrade = (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
        for _ in range(30):
            opened.append(open_socket(server.port, get("/v1/views/wide/changes"), small=True))
            opened.append(open_socket(server.port, get("/v1/views/wide/changes", upgrade), small=True))
            opened.append(open_socket(server.port, get("/v1/streams/rows/events?follow=true"), small=True))
        for number in range(50):
            opened.append(open_socket(server.mqtt_port, connect(f"deaf {number}") + packet(
                0x82, b"\x00\x01" + text("loud/#") + b"\x00"), small=True))
        for _ in range(6):  # each asks ten times for 0.7 MB
            opened.append(open_socket(server.port, get("/v1/views/wide") * 10, small=True))
        loud = PahoClient5(Options(port=server.mqtt_port, client_id="loud"))
        loud.connect()
        for number in range(100):
            loud.publish("loud/one", b"m" * 50_000)
            if number % 20 == 0:
                server.post("rows", [{"k": k, "v": "w" * 200} for k in range(300)])
        healthy.served(10)
        loud.disconnect()
        healthy.check(320 * MIB)


def test_greedy_readers(test):
    """Eight connections that ask for whole views without a pause get what is left, and not the others' turns."""
    server = started(test)
    server.sql("CREATE STREAM rows (k BIGINT, v VARCHAR) WITH (key = k)")
    server.sql("CREATE MATERIALIZED VIEW wide AS SELECT k, max(v) AS v FROM rows GROUP BY k")
    for first in range(0, 20_000, 5000):
        server.post("rows", [{"k": k, "v": "v" * 50} for k in range(first, first + 5000)])
    ended = threading.Event()
    scans = [0] * 8

    def read(at):
        while not ended.is_set():
            with contextlib.suppress(OSError), open_socket(server.port, get("/v1/views/wide?order=v&limit=10") * 40) as one:
                one.settimeout(0.2)
                answers = 0
                while answers < 40 and not ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        got = one.recv(65536)
                        if not got:
                            break
                        answers += got.count(b"HTTP/1.1 ")
                        scans[at] += got.count(b"HTTP/1.1 200")

    greedy = [threading.Thread(target=read, args=(at,), daemon=True) for at in range(8)]
    with Healthy(test, server, "eight greedy readers") as healthy:
        healthy.served()
        alone = max(healthy.http)
        for one in greedy:
            one.start()
        healthy.served(20)
        ended.set()
        for one in greedy:
            one.join(20)
        # In their turns: every one of them gets on.
        expect(min(scans) > 0, f"scans by connection: {scans}")
        ordered = sorted(healthy.http[5:])
        test.note(f"{sum(scans)} scans; the healthy client's HTTP: {alone * 1000:.0f} ms at most before, then p99"
                  f" {ordered[len(ordered) * 99 // 100] * 1000:.0f} ms")
        healthy.check(128 * MIB)


def test_writers_of_one_byte_a_second(test):
    """They hold a small buffer each and are dropped when their time is over."""
    server = started(test)
    with Healthy(test, server, "300 slow writers") as healthy, sockets() as opened:
        heads = [open_socket(server.port) for _ in range(150)]
        connects = [open_socket(server.mqtt_port) for _ in range(150)]
        opened += heads + connects
        begin = time.monotonic()
        sent = 0
        while time.monotonic() < begin + 12.5:
            for group, data in ((heads, get("/v1/views/pulse")), (connects, connect("a slow client"))):
                for one in group:
                    with contextlib.suppress(OSError):
                        one.send(data[sent:sent + 1])
            sent += 1
            time.sleep(1)
        for group, answer in ((heads, b"HTTP/1.1 408"), (connects, b"")):
            for one in group:
                got = b""
                one.settimeout(5)
                with contextlib.suppress(ConnectionError):
                    while more := one.recv(4096):
                        got += more
                expect(got.startswith(answer) and (answer or not got), f"who sends a byte a second got {got[:60]}")
        healthy.check(32 * MIB)


def exchange(server, data, timeout=10.0):
    """What comes back on a connection of its own until the server closes it."""
    got = b""
    with open_socket(server.port) as one:
        push(one, data, timeout)
        one.settimeout(timeout)
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_WR)
            while more := one.recv(65536):
                got += more
    return got


SMUGGLED = b"DELETE /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHUNKED = b"0\r\n\r\n"
# What stands between the request line and the body, and the body: each could be read in two ways.
SHAPES = [
    ("Content-Length and Transfer-Encoding", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    ("Transfer-Encoding and Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", CHUNKED),
    ("two lengths", b"Content-Length: 0\r\nContent-Length: 5\r\n", b"hello"),
    ("two equal lengths", b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    ("a list of lengths", b"Content-Length: 5, 5\r\n", b"hello"),
    ("a signed length", b"Content-Length: +5\r\n", b"hello"),
    ("a negative length", b"Content-Length: -1\r\n", b""),
    ("a length in hexadecimal", b"Content-Length: 0x5\r\n", b"hello"),
    ("a length beyond 64 bits", b"Content-Length: 18446744073709551621\r\n", b"hello"),
    ("an empty length", b"Content-Length:\r\n", b""),
    ("an encoding that is not chunked", b"Transfer-Encoding: xchunked\r\n", CHUNKED),
    ("chunked twice", b"Transfer-Encoding: chunked, chunked\r\n", CHUNKED),
    ("two encodings", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKED),
    ("gzip and chunked", b"Transfer-Encoding: gzip, chunked\r\n", CHUNKED),
    ("a blank before the colon", b"Transfer-Encoding : chunked\r\n", CHUNKED),
    ("a vertical tab", b"Transfer-Encoding:\x0bchunked\r\n", CHUNKED),
    ("a NUL in a value", b"X: a\x00b\r\n", b""),
    ("a bare line feed", b"X: a\nContent-Length: 5\r\n", b"hello"),
    ("a bare carriage return", b"X: a\rContent-Length: 5\r\n", b"hello"),
    ("a chunk size with a sign", b"Transfer-Encoding: chunked\r\n", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size beyond 64 bits", b"Transfer-Encoding: chunked\r\n", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a chunk that ends elsewhere", b"Transfer-Encoding: chunked\r\n", b"5\r\nhelloXX0\r\n\r\n"),
    ("a chunk size with a bare line feed", b"Transfer-Encoding: chunked\r\n", b"5\nhello\r\n0\r\n\r\n"),
    ("two hosts", b"Host: other\r\n", b""),
]


def test_requests_that_could_be_read_in_two_ways(test):
    """Each is refused and ends its connection: what stands behind it is never taken for a request."""
    server = started(test)
    for what, headers, body in SHAPES:
        answer = exchange(server, b"POST /v1/sql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" + headers +
                          b"\r\n" + body + SMUGGLED)
        status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else None
        expect(status in (400, 413, 431, 501), f"{what}: {answer[:200]}")
        expect_equal(answer.count(b"HTTP/1.1 "), 1, f"{what}: the number of answers")
    expect_equal(server.connect().request("GET", "/healthz").status, 200, "a request after all that")


def test_names_that_are_paths_or_no_text(test):
    """Names of streams, views and topics never become paths of files, and what is no UTF-8 is refused."""
    server = started(test)
    outside = sorted(path.name for path in server.files.iterdir())
    names = ["../evil", "a/b", "..", ".", "/etc/passwd", "a\\b", "a\u0000b", "a\nb", "~", "%2e%2e", "C:", "a" * 5000,
             "con", "-rf", "$(reboot)", "'; DROP STREAM beats; --", "\u202eevil", "\ufeff"]
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        for statement in (f"CREATE STREAM {quoted} (a BIGINT)", f"CREATE MATERIALIZED VIEW {quoted} AS SELECT count(*) AS n FROM beats"):
            answer = server.connect().sql(statement)
            expect(answer.status in (200, 400), f"{statement[:60]!r}: {answer.status} {clip(answer.text())}")
            if answer.status == 200:
                kind = "MATERIALIZED VIEW" if "VIEW" in statement else "STREAM"
                server.sql(f"DROP {kind} {quoted}")
    for path in ("..%2f..%2f..%2fetc%2fpasswd", "%2e%2e", "..%5c..", "beats%00", "%ff%fe", "%c0%ae%c0%ae", "....%2f%2f", "%",
                 "%zz", "beats%2fevents", "a" * 8000):
        for pattern in ("/v1/views/{}", "/v1/views/{}/changes", "/v1/views/{}/plan", "/v1/streams/{}/events", "/subjects/{}/versions",
                        "/schemas/ids/{}", "/{}"):
            answer = server.connect().request("GET", pattern.format(path))
            expect(answer.status in (400, 404, 405, 414, 431), f"GET {pattern.format(path)[:60]}: {answer.status}")
            expect(b"root:" not in answer.body, f"GET {pattern.format(path)[:60]} gives a file")
    for topic in (b"a\x00b", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
        for first, rest in ((0x32, b"\x00\x01x"), (0x82, None)):
            raw = Raw(server.mqtt_port, connect("names"))
            raw.receive(4)
            raw.send(packet(first, text(topic) + rest) if rest else packet(first, b"\x00\x01" + text(topic) + b"\x00"))
            expect_equal(raw.until_closed(), b"", f"the answer to the topic {topic}")
    server.sql("CREATE STREAM placed (site VARCHAR, value DOUBLE) WITH (mqtt = 'place/{site}/value')")
    client = PahoClient5(Options(port=server.mqtt_port, client_id="places"))
    client.connect()
    sites = ["..", ".", "\\..\\", "%2e%2e", "'; DROP STREAM placed; --", "\u202e", "a" * 2000]
    for site in sites:
        client.publish(f"place/{site}/value", "1", qos=1)
    client.disconnect()
    found = sorted(row[0] for row in server.sql_rows("SELECT site FROM placed"))
    expect_equal(found, sorted(sites), "the levels of the topics, as they are")
    server.run_batch()
    expect_equal(server.stop(), 0, "the exit code")
    expect_equal(sorted(path.name for path in server.files.iterdir()), outside, "what lies beside the data folder")


def test_the_same_event_from_everywhere_at_once(test):
    """Hundreds of requests with one id and one Idempotency-Key, all under way at once: one event."""
    server = started(test)
    server.sql("CREATE STREAM once (id VARCHAR, n BIGINT) WITH (dedup = id)")
    body = json.dumps({"id": "the one", "n": 1}).encode()
    request = (b"POST /v1/streams/once/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: " + JSON.encode() +
               b"\r\nIdempotency-Key: the-key\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with Healthy(test, server, "3,000 requests of one event") as healthy, sockets() as opened:
        for _ in range(100):
            opened.append(open_socket(server.port, request * 30))
        statuses = []
        for one in opened:
            got = b""
            while got.count(b"HTTP/1.1 ") < 30 or not got.endswith(b"}"):
                more = one.recv(65536)
                expect(more, f"the connection ended after {got[-200:]}")
                got += more
            statuses += [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]
        expect(set(statuses) <= {200, 409, 429}, f"the answers: {set(statuses)}")
        expect(200 in statuses, "no request succeeded")
        healthy.check(64 * MIB)
    expect_equal(server.sql_rows("SELECT count(*), sum(n) FROM once"), [[1, 1]], "the events")
