"""Who follows a view has what the view answers, also over restarts and kill -9 of the server."""
import http.client
import json
import threading
import time

from harness import expect, expect_equal


class Follower:
    """What a browser's EventSource and twenty lines of script do, for the rows of one view."""

    def __init__(self, server, view):
        self.server = server
        self.view = view
        self.rows = {}
        self.last_id = None
        self.whole = False
        self.connects = 0
        self.resumed = 0
        self.stopped = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopped:
            try:
                self._connect()
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)

    def _connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=5)
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        connection.request("GET", f"/v1/views/{self.view}/changes", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            connection.close()
            return
        self.connects += 1
        event = {}
        while not self.stopped:
            line = answer.readline().decode()
            if not line:
                break
            line = line.rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
                continue
            self._take(event)
            event = {}
        connection.close()

    def _take(self, event):
        kind = event.get("event")
        if kind == "reset":
            self.rows = {}
            self.whole = False
        elif kind == "resumed":
            self.resumed += 1
        elif kind in ("snapshot", "changes"):
            data = json.loads(event["data"])
            for change in data["changes"]:
                self.rows[json.dumps(change["key"])] = change["rows"]
            self.whole = not data["more"]
        if event.get("id"):
            self.last_id = event["id"]

    def all_rows(self):
        return sorted(row for rows in list(self.rows.values()) for row in rows)

    def wait_for(self, wanted, timeout=30):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.whole and self.all_rows() == wanted:
                return
            time.sleep(0.01)
        expect_equal(self.all_rows(), wanted, f"the rows of who follows {self.view}")


def test_a_follower_has_the_views_rows_over_kill_and_restart(test):
    """A client that connects again with the last id ends with the rows that the view answers, whatever happened."""
    server = test.server(config={"lake": {"commit_interval_ms": 200}, "batch": {"interval_ms": 1000}}).start()
    server.sql("CREATE STREAM clicks (page VARCHAR, n BIGINT) WITH (key = page, partitions = 2)")
    server.sql("CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS clicks, sum(n) AS total FROM clicks GROUP BY page")
    server.sql("CREATE MATERIALIZED VIEW odd AS SELECT page, sum(n) AS total FROM clicks GROUP BY page HAVING sum(n) % 2 = 1")
    followers = [Follower(server, "pages"), Follower(server, "odd")]
    number = 0

    def post(requests):
        nonlocal number
        for _ in range(requests):
            server.post("clicks", [{"page": f"p{(number + i) % 37}", "n": (number + i) % 11} for i in range(20)])
            number += 20

    def check():
        for follower in followers:
            follower.wait_for(sorted(server.get(f"/v1/views/{follower.view}").ok()["rows"]))

    post(50)
    check()
    for round_number in range(3):
        if round_number == 1:
            expect_equal(server.stop(), 0, "the exit code")
        else:
            server.kill()
        server.start()
        check()
        post(50)
        check()
    expect(all(follower.connects >= 4 for follower in followers), "each follower connected again after each restart")
    for follower in followers:
        follower.stopped = True


def test_the_events_of_a_stream_are_read_and_followed_each_once(test):
    """From the lake, from the tail and as they come: every event once, in the order of its partition."""
    server = test.server(config={"lake": {"commit_interval_ms": 100}}).start()
    server.sql("CREATE STREAM numbers (n BIGINT) WITH (partitions = 2)")
    seen = []
    done = threading.Event()

    def follow():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", "/v1/streams/numbers/events?follow=true&limit=20000")
        answer = connection.getresponse()
        for line in answer:
            if line.strip():
                seen.append(json.loads(line))
        done.set()

    threading.Thread(target=follow, daemon=True).start()
    for first in range(0, 20_000, 100):
        server.post("numbers", [{"n": n} for n in range(first, first + 100)])
    expect(done.wait(30), f"only {len(seen)} events came")
    for events in (seen, [json.loads(line) for line in server.get("/v1/streams/numbers/events").body.splitlines()]):
        expect_equal(sorted(event["event"]["n"] for event in events), list(range(20_000)), "the events")
        for partition in (0, 1):
            offsets = [event["offset"] for event in events if event["partition"] == partition]
            expect_equal(offsets, list(range(len(offsets))), f"the offsets of partition {partition}")
