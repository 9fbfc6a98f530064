"""The oracle of the crash tests: a ledger outside the server of what was sent and what was acknowledged.

An event is written down before it is sent, and marked acknowledged only after the answer came. After a restart
every acknowledged event must be there exactly once, every other one zero times or once, and whatever a first look
says about those must stay so for ever, in the stream and in every view alike.
"""
import random
import threading
import time

from harness import ExactSum, NoAnswer, clip, expect, expect_equal, position_not_before, position_sum, rows_as_dicts

CLIENTS = 4
LABELS = ["north", "s\u00fcd", "\u6771", None]
AMOUNTS = [0.1, -0.1, 1e16, -1e16, 3.5e-310, 1.0, 1e300, -1e300, 0.30000000000000004, -7.25]

STATEMENTS = [
    "CREATE STREAM ledger (id BIGINT, client INTEGER, at TIMESTAMP, amount DOUBLE, label VARCHAR)"
    " WITH (time = at, key = client, partitions = 2)",
    "CREATE MATERIALIZED VIEW by_client AS SELECT client, count(*) AS n, sum(id) AS ids, sum(amount) AS amounts,"
    " min(id) AS low, max(id) AS high FROM ledger GROUP BY client",
    "CREATE MATERIALIZED VIEW by_bucket AS SELECT client, id % 16 AS bucket, count(*) AS n, sum(id) AS ids"
    " FROM ledger GROUP BY client, bucket",
    "CREATE MATERIALIZED VIEW by_label AS SELECT label, count(*) AS n, sum(id) AS ids, sum(amount) AS amounts,"
    " max(amount) AS top FROM ledger WHERE id % 3 <> 0 GROUP BY label",
]
CHUNK = 20_000


def event_of(number):
    """The event with this id; all of it follows from the id, so that the ledger need not keep it."""
    draw = random.Random(number)
    return {"id": number, "client": draw.randrange(CLIENTS * 2), "at": f"2026-01-{1 + number % 28:02}T00:00:00",
            "amount": draw.choice(AMOUNTS), "label": draw.choice(LABELS)}


class Group:
    def __init__(self):
        self.n = 0
        self.ids = 0
        self.amounts = ExactSum()
        self.low = None
        self.high = None
        self.top = None

    def add(self, event):
        self.n += 1
        self.ids += event["id"]
        self.amounts.add(event["amount"])
        self.low = event["id"] if self.low is None else min(self.low, event["id"])
        self.high = event["id"] if self.high is None else max(self.high, event["id"])
        self.top = event["amount"] if self.top is None else max(self.top, event["amount"])


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.next_id = 1
        self.unknown = set()   # sent, and no answer came
        self.acked = []        # acknowledged since the last settlement
        self.acked_count = 0
        self.present = 0       # events that are settled as counted
        self.by_client = {}
        self.by_bucket = {}
        self.by_label = {}
        self.first_unsettled = 1
        self.absent = set()    # settled as never counted
        self.delta_end = {}    # by view
        self.acked_position = {}
        self.generations = {}

    def take(self, count):
        """Ids to send next; from now on they may be in the server."""
        with self.lock:
            ids = list(range(self.next_id, self.next_id + count))
            self.next_id += count
            self.unknown.update(ids)
            return ids

    def acknowledge(self, ids, position):
        with self.lock:
            self.unknown.difference_update(ids)
            self.acked.extend(ids)
            self.acked_count += len(ids)
            for partition, offset in position.items():
                self.acked_position[partition] = max(self.acked_position.get(partition, 0), int(offset))

    def count(self, number):
        event = event_of(number)
        self.present += 1
        self.by_client.setdefault(event["client"], Group()).add(event)
        self.by_bucket.setdefault((event["client"], number % 16), Group()).add(event)
        if number % 3 != 0:
            self.by_label.setdefault(event["label"], Group()).add(event)

    # --- under load

    def post_until_broken(self, server, rng, stop, trouble):
        """One client: posts batches until the connection breaks or `stop` is set."""
        connection = server.connect(timeout=30.0)
        try:
            while not stop.is_set():
                ids = self.take(rng.choice([1, 1, 2, 7, 40]))
                response = connection.post_lines("ledger", [event_of(i) for i in ids])
                if response.status == 200:
                    answer = response.json()
                    expect_equal((answer["accepted"], answer["rejected"]), (len(ids), []), "what was accepted")
                    self.acknowledge(ids, answer["position"])
                elif response.status in (429, 503):
                    time.sleep(0.01)
                else:
                    raise AssertionError(f"POST events: HTTP {response.status}: {clip(response.text())}")
        except NoAnswer:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            trouble.append(error)
        finally:
            connection.close()

    def read_until_broken(self, server, rng, stop, trouble):
        """Asks views all the time: what is acknowledged is visible, and no position goes back."""
        connection = server.connect(timeout=30.0)
        try:
            while not stop.is_set():
                view = rng.choice(["by_client", "by_bucket"])
                with self.lock:
                    acked, earlier = self.present + len(self.acked), self.delta_end.get(view, {})
                response = connection.view(view, limit=1000)
                if response.status in (429, 503):
                    time.sleep(0.01)
                    continue
                answer = response.ok()
                with self.lock:
                    sent = self.next_id - 1
                total = sum(row["n"] for row in rows_as_dicts(answer))
                coverage = answer["coverage"]
                expect(acked <= total <= sent, f"{view} counts {total} events, {acked} were acknowledged, {sent} sent")
                expect_equal(position_sum(coverage["delta_end"]), total, f"{view}: the position against the count")
                expect(position_not_before(coverage["delta_end"], earlier),
                       f"{view}: the position went back from {earlier} to {coverage['delta_end']}")
                self.delta_end[view] = coverage["delta_end"]
        except NoAnswer:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            trouble.append(error)
        finally:
            connection.close()

    # --- after a restart

    def settle(self, server):
        """Finds out which events are there, and compares the stream and every view with that."""
        seen = {}
        for begin in range(self.first_unsettled, self.next_id, CHUNK):
            end = min(begin + CHUNK, self.next_id)
            for number, times in server.sql_rows(
                    f"SELECT id, count(*) FROM ledger WHERE id >= {begin} AND id < {end} GROUP BY id"):
                seen[int(number)] = int(times)
        doubled = [number for number, times in seen.items() if times != 1]
        expect(not doubled, f"counted more than once: {clip(doubled)}")
        lost = [number for number in self.acked if number not in seen]
        expect(not lost, f"{len(lost)} acknowledged events are lost: {clip(lost)}")
        never_sent = [number for number in seen if number >= self.next_id]
        expect(not never_sent, f"events that nobody sent: {clip(never_sent)}")
        for number in range(self.first_unsettled, self.next_id):
            if number in seen:
                self.count(number)
            else:
                self.absent.add(number)
        self.first_unsettled = self.next_id
        self.unknown.clear()
        self.acked.clear()
        self.compare(server)

    def compare(self, server):
        """Every answer equals the fold over exactly the events that were found."""
        rows = server.sql_rows("SELECT count(*), sum(id), count(DISTINCT id) FROM ledger")
        ids = sum(group.ids for group in self.by_client.values())
        got = tuple(int(value or 0) for value in rows[0])
        expect_equal(got, (self.present, ids, self.present), "count, sum and distinct count of the stream")
        self.compare_view(server, "by_client", ["client"], ["n", "ids", "amounts", "low", "high"],
                          {(k,): g for k, g in self.by_client.items()})
        self.compare_view(server, "by_bucket", ["client", "bucket"], ["n", "ids"], self.by_bucket)
        self.compare_view(server, "by_label", ["label"], ["n", "ids", "amounts", "top"],
                          {(k,): g for k, g in self.by_label.items()})

    def compare_view(self, server, view, keys, values, groups):
        answer = server.view(view, limit=100_000)
        got = {}
        for row in rows_as_dicts(answer):
            key = tuple(row[name] for name in keys)
            expect(key not in got, f"{view}: the group {key} has two rows")
            got[key] = {name: int(row[name]) if name in ("n", "ids", "low", "high") else row[name] for name in values}
        expected = {key: {name: group.amounts.value() if name == "amounts" else getattr(group, name)
                          for name in values} for key, group in groups.items()}
        for key in sorted(set(got) | set(expected), key=repr):
            expect_equal(got.get(key), expected.get(key), f"{view}, group {key}")
        coverage = answer["coverage"]
        expect_equal(position_sum(coverage["delta_end"]), self.present, f"{view}: the position against the count")
        earlier = self.delta_end.get(view, {})
        expect(position_not_before(coverage["delta_end"], earlier),
               f"{view}: the position went back from {earlier} to {coverage['delta_end']}")
        expect(position_not_before(coverage["delta_end"], self.acked_position),
               f"{view}: behind an acknowledged position {self.acked_position}: {coverage['delta_end']}")
        expect(position_not_before(coverage["delta_end"], coverage["cut"]), f"{view}: the cut lies behind the end")
        self.delta_end[view] = coverage["delta_end"]
        generation = int(coverage["generation"] or 0)
        expect(generation >= self.generations.get(view, 0),
               f"{view}: the generation went back from {self.generations.get(view)} to {generation}")
        self.generations[view] = generation
