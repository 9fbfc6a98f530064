"""Views as MQTT topics with real clients, and rights that are taken back, at every door."""
import base64
import contextlib
import http.client
import json
import os
import socket
import subprocess
import time

from harness import Failure, expect, expect_equal
from mqtt_clients import FACTORIES, WAIT, Options, PahoClient, PahoClient5


@contextlib.contextmanager
def clients(server):
    made = []

    def make(client_id, kind=PahoClient5, connect=True, **options):
        client = kind(Options(port=server.mqtt_port, client_id=client_id, **options))
        made.append(client)
        if connect:
            client.connect()
        return client

    try:
        yield make
    finally:
        for client in made:
            with contextlib.suppress(Exception):
                client.close()


def set_up(server):
    server.sql("CREATE STREAM trips (city VARCHAR, minutes DOUBLE)")
    server.sql("CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS trips FROM trips GROUP BY city")


def rows_until(client, wanted):
    """What the client holds, the newest payload of each topic, once that is what is wanted."""
    rows = {}
    deadline = time.monotonic() + 30
    while rows != wanted:
        expect(time.monotonic() < deadline, f"the rows are {rows}, not {wanted}")
        message = client.receive()
        if message.payload:
            rows[message.topic] = json.loads(message.payload)["trips"]
        else:
            rows.pop(message.topic, None)
    return rows


def test_every_client_sees_a_view_as_retained_topics(test):
    """Each library and version gets the rows of now with the retain flag, then those that change."""
    server = test.server().start()
    set_up(server)
    server.post("trips", [{"city": "Lima", "minutes": 1}, {"city": "Orléans/Fleury", "minutes": 2}])
    trips = 1
    for number, (name, factory) in enumerate(FACTORIES.items()):
        with clients(server) as make:
            client = make(f"c{number}", kind=factory)
            client.subscribe("views/by_city/+", qos=1)
            got = sorted((client.receive() for _ in range(2)), key=lambda message: message.topic)
            expect_equal([(m.topic, m.retain) for m in got],
                         [("views/by_city/Lima", True), ("views/by_city/Orléans%2FFleury", True)], name)
            expect_equal(json.loads(got[0].payload), {"city": "Lima", "trips": trips}, name)
            server.post("trips", [{"city": "Lima", "minutes": 1}])
            trips += 1
            got = client.receive()
            expect_equal((got.topic, json.loads(got.payload), got.qos, got.retain),
                         ("views/by_city/Lima", {"city": "Lima", "trips": trips}, 1, False), name)
    done = subprocess.run(["mosquitto_sub", "-p", str(server.mqtt_port), "-R", "-W", "1", "-v", "-t", "views/#"],
                          capture_output=True, text=True, timeout=WAIT)
    expect_equal(done.stdout, "", "mosquitto_sub -R, which leaves retained messages out")
    done = subprocess.run(["mosquitto_sub", "-p", str(server.mqtt_port), "-C", "2", "-F", "%t", "-t", "#"],
                          capture_output=True, text=True, timeout=WAIT)
    expect_equal(sorted(done.stdout.split("\n"))[1:], ["views/by_city/Lima", "views/by_city/Orléans%2FFleury"], "'#'")


def test_a_session_has_the_views_rows_after_each_kill(test):
    """A persistent client that reads on through kill -9 ends with the view's rows, and never goes back."""
    server = test.server().start()
    set_up(server)
    cities = [f"c{i}" for i in range(20)]
    counts = dict.fromkeys(cities, 0)
    newest = {}
    for round_number in range(5):
        with clients(server) as make:
            client = make("screen", clean=False)
            if round_number == 0:
                client.subscribe("views/by_city/#", qos=1)
            for _ in range(20):
                chosen = test.rng.sample(cities, 7)
                server.post("trips", [{"city": city, "minutes": 1} for city in chosen])
                for city in chosen:
                    counts[city] += 1
            wanted = {city: n for city, n in counts.items() if n}
            deadline = time.monotonic() + 30
            while newest != wanted:
                expect(time.monotonic() < deadline, f"round {round_number}: {newest}, not {wanted}")
                row = json.loads(client.receive().payload)
                before = newest.get(row["city"], 0)
                expect(row["trips"] >= before, f"{row} after {before}")
                newest[row["city"]] = row["trips"]
            server.kill()
        server.start()


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def as_root(server, text):
    answer = server.request("POST", "/v1/sql", json.dumps({"sql": text}).encode(),
                            {"Content-Type": "application/json", **basic("root", "r")})
    answer.ok()


class Tail:
    """An answer over HTTP that goes on until the server ends it."""

    def __init__(self, server, path, headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self.connection.request("GET", path, headers=headers)
        self.answer = self.connection.getresponse()
        expect_equal(self.answer.status, 200, path)

    def text_until_the_end(self):
        text = self.answer.read().decode()
        self.connection.close()
        return text


class Socket:
    """A WebSocket, as far as its server's frames go."""

    def __init__(self, server, path, headers):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        first = self.socket.recv(12)
        expect_equal(first, b"HTTP/1.1 101", path)

    def text_until_the_end(self):
        out = b""
        while b"MR3" not in out:
            got = self.socket.recv(65536)
            if not got:
                break
            out += got
        self.socket.close()
        return out.decode("utf-8", "replace")


def open_doors(server, user, password):
    """Something that is open at each door for a user who may follow by_city and trips."""
    headers = basic(user, password)
    doors = {
        "Server-Sent Events": Tail(server, "/v1/views/by_city/changes", headers),
        "WebSocket": Socket(server, "/v1/views/by_city/changes", headers),
        "event tail": Tail(server, "/v1/streams/trips/events?follow=true", headers),
    }
    with contextlib.ExitStack() as stack:
        for name, kind in (("mqtt 5", PahoClient5), ("mqtt 3.1.1", PahoClient)):
            client = kind(Options(port=server.mqtt_port, client_id=name, user=user, password=password))
            stack.callback(client.client.loop_stop)
            client.connect()
            client.subscribe("views/by_city/#", qos=1)
            doors[name] = client
        doors["stack"] = stack.pop_all()
    return doors


def expect_ended(doors, code):
    stack = doors.pop("stack")
    began = time.monotonic()
    try:
        for name, door in doors.items():
            if name.startswith("mqtt"):
                reason = door.disconnected.get(timeout=WAIT)
                if name == "mqtt 5":
                    expect_equal(reason.value, 0x87, "the reason of DISCONNECT")
            else:
                text = door.text_until_the_end()
                expect(code in text, f"{name} ended without {code}: {text[-300:]}")
            took = time.monotonic() - began
            expect(took < 10, f"{name} ended after {took:.1f} s")
    finally:
        stack.close()
    return time.monotonic() - began


def test_what_is_taken_back_ends_at_every_door(test):
    """REVOKE, another password, and DROP USER end followers, tails and MQTT clients that are connected."""
    server = test.server().start()
    set_up(server)
    server.post("trips", [{"city": "Lima", "minutes": 1}])
    server.sql("CREATE USER root WITH PASSWORD 'r'")
    endings = {
        "REVOKE": (["REVOKE SUBSCRIBE ON by_city FROM ana", "REVOKE SUBSCRIBE ON trips FROM ana"], "MR3102"),
        "ALTER USER": (["ALTER USER ana WITH PASSWORD 'b'"], "MR3101"),
        "DROP USER": (["DROP USER ana"], "MR3101"),
    }
    for name, (statements, code) in endings.items():
        as_root(server, "CREATE USER ana WITH PASSWORD 'a'")
        for target in ("by_city", "trips"):
            as_root(server, f"GRANT SUBSCRIBE ON {target} TO ana")
        doors = open_doors(server, "ana", "a")
        for statement in statements:
            as_root(server, statement)
        try:
            test.note(f"{name}: all ended within {expect_ended(doors, code):.1f} s")
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from failure
        if name != "DROP USER":
            as_root(server, "DROP USER ana")
