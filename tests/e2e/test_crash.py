"""Kills the server with SIGKILL, under load, again and again, and compares with the ledger after each restart."""
import collections
import os
import pathlib
import random
import threading
import time

from harness import NoAnswer, expect, run_batch
from ledger import CLIENTS, STATEMENTS, Ledger

# Small, so that lake commits, batch runs, checkpoints and new segments happen all the time, and the tail is read
# again from the log.
BUSY = {
    "speed": {"checkpoint_rows": 300, "tail_bytes_max": 16384},
    "log": {"segment_bytes": 131072},
    "lake": {"commit_rows": 400, "commit_interval_ms": 40},
    "batch": {"interval_ms": 60},
}


class Load:
    """Clients that post, one that reads, one that asks for batch runs, until stopped or the server is gone."""

    def __init__(self, ledger, server, rng):
        self.stop_asked = threading.Event()
        self.trouble = []
        self.threads = [self.start(ledger.post_until_broken, server, rng) for _ in range(CLIENTS)]
        self.threads.append(self.start(ledger.read_until_broken, server, rng))
        self.threads.append(threading.Thread(target=self.ask_for_batches, args=(server, rng.random() < 0.3), daemon=True))
        for thread in self.threads:
            thread.start()

    def start(self, function, server, rng):
        own = random.Random(rng.random())
        return threading.Thread(target=function, args=(server, own, self.stop_asked, self.trouble), daemon=True)

    def ask_for_batches(self, server, full):
        connection = server.connect()
        body = b'{"full": true}' if full else b"{}"
        try:
            while not self.stop_asked.wait(0.05):
                connection.request("POST", "/v1/batch", body, {"Content-Type": "application/json"})
        except NoAnswer:
            pass
        finally:
            connection.close()

    def end(self):
        self.stop_asked.set()
        for thread in self.threads:
            thread.join(60.0)
            expect(not thread.is_alive(), "a client hangs although the server is gone")
        if self.trouble:
            raise self.trouble[0]


def wait_for_batch_run(server, deadline):
    """Returns while a batch run is under way, as far as one can see."""
    connection = server.connect()
    try:
        while time.monotonic() < deadline:
            if connection.request("GET", "/v1/batch").json().get("state") == "running":
                return
    finally:
        connection.close()


def set_up(server):
    server.start()
    for statement in STATEMENTS:
        server.sql(statement)


def test_acknowledged_events_are_counted_once_after_kills_at_random_moments(test):
    """Promise 4. SIGKILL at random moments, some of them during a batch run: nothing lost, nothing doubled."""
    server = test.server(config=BUSY)
    ledger = Ledger()
    set_up(server)
    for round_number in range(test.options.rounds):
        load = Load(ledger, server, test.rng)
        time.sleep(test.rng.choice([0.01, 0.1, 0.4, 1.0]) * test.rng.random())
        if round_number % 3 == 2:
            wait_for_batch_run(server, time.monotonic() + 0.5)
            time.sleep(0.02 * test.rng.random())
        server.kill()
        load.end()
        # Now and then the restarted server is killed as well, while it recovers.
        for _ in range(test.rng.choice([0, 0, 0, 1, 2])):
            server.launch()
            time.sleep(0.15 * test.rng.random())
            server.kill()
        server.start()
        ledger.settle(server)
    run_batch(server)
    ledger.settle(server)
    run_batch(server, full=True)
    ledger.settle(server)
    server.stop()
    server.start()
    ledger.settle(server)
    drift = server.metric("millrace_audit_drift_rows")
    expect(drift == 0, f"millrace_audit_drift_rows is {drift}")
    test.note(f"{test.options.rounds} kills, {ledger.acked_count} events acknowledged, {ledger.present} counted, "
              f"generations {ledger.generations}")


def test_acknowledged_events_are_counted_once_after_kills_inside_file_calls(test):
    """Promise 4. SIGKILL within lake commit, batch publish, handoff, checkpoint and segment changes."""
    library = pathlib.Path(os.environ.get("MILLRACE_KILL_AT_CALL", "build/release/libmillrace_kill_at_call.so")).resolve()
    expect(library.exists(), f"{library} is not built: ninja -C build/release millrace_kill_at_call")
    calls_log = test.folder / "calls"
    server = test.server(config=BUSY)
    ledger = Ledger()
    set_up(server)
    server.stop()
    common = {"LD_PRELOAD": str(library), "MILLRACE_FAULT_FOLDER": str(server.data.resolve())}

    # Learn which calls on which kinds of files there are while it starts, works and stops.
    server.env = {**common, "MILLRACE_FAULT_LOG": str(calls_log)}
    server.start()
    load = Load(ledger, server, test.rng)
    time.sleep(2.5)
    run_batch(server, full=True)
    load.stop_asked.set()
    server.stop()
    load.end()
    seen = collections.Counter(calls_log.read_text().splitlines())
    expect(seen, "the preload library saw no file call")
    points = [(call, file_class, when) for call, file_class in sorted(line.split(" ", 1) for line in seen)
              for when in (["middle"] if call == "write" else ["before", "after"])]
    test.rng.shuffle(points)
    # By turns of log, lake, states and catalog, so that few rounds have some of each.
    turns = collections.Counter()
    order = {}
    for point in points:
        place = point[1].split("/")[0].split(".")[0]
        order[point] = turns[place]
        turns[place] += 1
    points.sort(key=order.get)

    hits = 0
    for round_number in range(max(test.options.rounds, 1)):
        call, file_class, when = points[round_number % len(points)]
        often = seen[f"{call} {file_class}"]
        server.env = {**common, "MILLRACE_FAULT_CALL": call, "MILLRACE_FAULT_CLASS": file_class,
                      "MILLRACE_FAULT_WHEN": when, "MILLRACE_FAULT_NTH": str(1 + test.rng.randrange(min(often, 12)))}
        server.launch()
        load = None
        try:
            server.wait_ready()
            load = Load(ledger, server, test.rng)
            server.process.wait(2.0)
        except Exception:  # noqa: BLE001 - it died while it started, or did not die at all: both are settled below
            pass
        died_there = server.process.poll() is not None
        if died_there:
            expect(server.process.returncode == -9, f"killed at {call} of {file_class}, the server ended with "
                   f"{server.process.returncode}: {server.stderr()[-2000:]}")
        hits += died_there
        server.kill()
        if load:
            load.end()
        server.env = {}
        server.start()
        try:
            ledger.settle(server)
        except AssertionError as error:
            raise AssertionError(f"after a kill {when} {call} of {file_class}: {error}") from error
        server.kill()
    server.env = {}
    server.start()
    run_batch(server, full=True)
    ledger.settle(server)
    test.note(f"{len(points)} kinds of points, {hits} kills inside calls, {ledger.acked_count} events acknowledged")
    expect(hits > 0, "no kill fell into a call")
