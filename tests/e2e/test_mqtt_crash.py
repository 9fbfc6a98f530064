"""Kills the server with SIGKILL under MQTT load, and compares what was acknowledged with streams and subscribers."""
import collections
import json
import queue
import threading
import time

from harness import clip, expect, expect_equal
from mqtt_clients import import_paho

WAIT = 60.0
IN_FLIGHT = 20
# Small, so that checkpoints and new segments happen all the time.
BUSY = {
    "speed": {"checkpoint_rows": 300, "tail_bytes_max": 16384},
    "log": {"segment_bytes": 131072},
    "lake": {"commit_rows": 400, "commit_interval_ms": 40},
}


class Session:
    """A Paho client that lives through the kills: the library keeps what is in flight and sends it again."""

    def __init__(self, client_id, version):
        paho = import_paho()
        self.version = version
        self.client_id = client_id
        arguments = {"clean_session": False} if version == 4 else {}
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False,
                                  protocol=paho.MQTTv5 if version == 5 else paho.MQTTv311, **arguments)
        self.client.max_inflight_messages_set(IN_FLIGHT)
        self.answers = queue.Queue()
        self.subscribed = threading.Event()
        self.up = threading.Event()
        self.client.on_connect = self.on_connect
        self.client.on_disconnect = lambda *_: self.up.clear()
        self.client.on_subscribe = lambda *_: self.subscribed.set()

    def on_connect(self, client, data, flags, reason, properties):
        self.answers.put((flags.session_present, reason))
        if not reason.is_failure:
            self.up.set()

    def connect(self, port):
        """Whether the server had the session."""
        arguments = {}
        if self.version == 5:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600
            arguments = {"clean_start": False, "properties": properties}
        self.client.connect("127.0.0.1", port, keepalive=30, **arguments)
        self.client.loop_start()
        present, reason = self.answers.get(timeout=WAIT)
        expect(not reason.is_failure, f"{self.client_id}: CONNECT was refused: {reason}")
        return present

    def await_break(self):
        self.client.loop_stop()
        self.up.clear()


class Publisher(Session):
    """Sends numbered events, by turns to a stream's topic and to an ordinary one; knows what was acknowledged."""

    def __init__(self, number, qos, version):
        super().__init__(f"publisher-{number}", version)
        self.number = number
        self.qos = qos
        self.sent = []
        self.acked = set()
        self.room = threading.Semaphore(IN_FLIGHT)
        self.lock = threading.Lock()
        self.by_mid = {}
        self.early = set()
        self.end = threading.Event()
        self.client.on_publish = self.on_publish
        self.thread = threading.Thread(target=self.run, daemon=True)

    def on_publish(self, client, data, mid, *rest):
        with self.lock:
            if mid in self.by_mid:
                self.acked.add(self.by_mid.pop(mid))
            else:
                self.early.add(mid)  # the answer came before publish() returned
        self.room.release()

    def run(self):
        while not self.end.is_set():
            if not self.up.wait(0.05) or not self.room.acquire(timeout=0.05):
                continue
            event = self.number * 1_000_000 + len(self.sent)
            self.sent.append(event)
            stream = event % 2 == 0
            topic = f"site/s{self.number}/sensor/{event % 7}/reading" if stream else f"plain/{self.number}"
            info = self.client.publish(topic, json.dumps({"id": event, "qos": self.qos}), self.qos)
            with self.lock:
                if info.mid in self.early:
                    self.early.discard(info.mid)
                    self.acked.add(event)
                else:
                    self.by_mid[info.mid] = event

    def acknowledged(self):
        with self.lock:
            return set(self.acked)


class Subscriber(Session):
    def __init__(self, number, qos, version, filters=("site/+/sensor/+/reading", "plain/#")):
        super().__init__(f"subscriber-{number}", version)
        self.qos = qos
        self.filters = filters
        self.got = collections.Counter()
        self.client.on_message = self.on_message

    def on_message(self, client, data, message):
        self.got[json.loads(message.payload)["id"]] += 1

    def subscribe(self):
        self.client.subscribe([(topic_filter, self.qos) for topic_filter in self.filters])
        expect(self.subscribed.wait(WAIT), "no SUBACK")


def events_of(server, chunk=20_000):
    """How often each event is in the stream."""
    seen = {}
    for publisher in range(4):
        begin = publisher * 1_000_000
        while True:
            rows = server.sql_rows(f"SELECT id, count(*) FROM readings WHERE id >= {begin} AND id < {begin + chunk}"
                                   " GROUP BY id")
            seen.update({int(number): int(times) for number, times in rows})
            if not rows:
                break
            begin += chunk
    return seen


def check_stream(server, publishers, everything):
    """Acknowledged events are there, those of QoS 2 once, and nothing that nobody sent."""
    # Taken before the question, so that what is acknowledged meanwhile does not matter.
    acknowledged = [publisher.acknowledged() for publisher in publishers]
    seen = events_of(server)
    for publisher, acked in zip(publishers, acknowledged):
        wanted = {event for event in (publisher.sent if everything else acked) if event % 2 == 0}
        missing = sorted(wanted - seen.keys())
        expect(not missing, f"{publisher.client_id}: {len(missing)} acknowledged events are missing: {clip(missing)}")
        if publisher.qos == 2:
            doubled = [event for event in publisher.sent if seen.get(event, 0) > 1]
            expect(not doubled, f"{publisher.client_id}: QoS 2 events that are there twice: {clip(doubled)}")
    sent = {event for publisher in publishers for event in publisher.sent}
    expect(not seen.keys() - sent, f"events that nobody sent: {clip(sorted(seen.keys() - sent))}")


def test_mqtt_sessions_lose_and_double_nothing_over_kills(test):
    """QoS 1 and 2, 3.1.1 and 5: no acknowledged message missing, none of QoS 2 twice, no gap at a subscriber."""
    server = test.server(config=BUSY).start()
    server.sql("CREATE STREAM readings (site VARCHAR, sensor INTEGER, id BIGINT, qos INTEGER)"
               " WITH (mqtt = 'site/{site}/sensor/{sensor}/reading')")
    publishers = [Publisher(0, 1, 4), Publisher(1, 2, 4), Publisher(2, 1, 5), Publisher(3, 2, 5)]
    subscribers = [Subscriber(0, 1, 4), Subscriber(1, 2, 4), Subscriber(2, 2, 5)]
    members = [Subscriber(3, 2, 4, ["$share/group/plain/#"]), Subscriber(4, 2, 5, ["$share/group/plain/#"])]
    sessions = subscribers + members + publishers
    for session in sessions:
        expect_equal(session.connect(server.mqtt_port), False, f"{session.client_id}: a session at the first CONNECT")
    for subscriber in subscribers + members:
        subscriber.subscribe()
    for publisher in publishers:
        publisher.thread.start()
    try:
        for _ in range(test.options.rounds):
            time.sleep(test.rng.choice([0.02, 0.1, 0.3, 0.6]) * test.rng.random())
            server.kill()
            for session in sessions:
                session.await_break()
            # Now and then the restarted server is killed as well, while it recovers.
            for _ in range(test.rng.choice([0, 0, 0, 1, 2])):
                server.launch()
                time.sleep(0.15 * test.rng.random())
                server.kill()
            server.start()
            check_stream(server, publishers, everything=False)
            for session in test.rng.sample(sessions, len(sessions)):
                expect_equal(session.connect(server.mqtt_port), True, f"{session.client_id}: the session is there")
        for publisher in publishers:
            publisher.end.set()
            publisher.thread.join(WAIT)
        settle(server, publishers, subscribers, members)
    finally:
        for publisher in publishers:
            publisher.end.set()
        server.kill()
        for session in sessions:
            session.client.loop_stop()
    messages = sum(len(publisher.sent) for publisher in publishers)
    repeats = sum(times - 1 for subscriber in subscribers for times in subscriber.got.values())
    test.note(f"{test.options.rounds} kills, {messages} messages, all acknowledged; {repeats} repeats at QoS 1")


def settle(server, publishers, subscribers, members):
    """With the server up for good, everything that was sent is acknowledged and arrives."""
    sent = {event for publisher in publishers for event in publisher.sent}
    exactly_once = {event for publisher in publishers if publisher.qos == 2 for event in publisher.sent}
    shared = {event for event in sent if event % 2}
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        if members[0].got.keys() | members[1].got.keys() >= shared and \
                all(len(publisher.acknowledged()) == len(publisher.sent) for publisher in publishers) and \
                all(subscriber.got.keys() >= sent for subscriber in subscribers):
            break
        time.sleep(0.05)
    for publisher in publishers:
        open_events = sorted(set(publisher.sent) - publisher.acknowledged())
        expect(not open_events, f"{publisher.client_id}: never acknowledged: {clip(open_events)}")
    check_stream(server, publishers, everything=True)
    for subscriber in subscribers:
        missing = sorted(sent - subscriber.got.keys())
        expect(not missing, f"{subscriber.client_id} misses {len(missing)} messages: {clip(missing)}")
        if subscriber.qos == 2:
            doubled = sorted(event for event in exactly_once if subscriber.got[event] != 1)
            expect(not doubled, f"{subscriber.client_id}: QoS 2 messages that came twice: {clip(doubled)}")
    together = members[0].got + members[1].got
    missing = sorted(shared - together.keys())
    expect(not missing, f"the shared subscription misses {len(missing)} messages: {clip(missing)}")
    doubled = sorted(event for event in shared & exactly_once if together[event] != 1)
    expect(not doubled, f"QoS 2 messages that came twice to the shared subscription: {clip(doubled)}")
    expect(all(member.got for member in members), "a member of the shared subscription got nothing")


def test_retained_messages_are_never_older_than_what_was_acknowledged(test):
    """After each kill a retained message is the last acknowledged one of its topic, or one that was sent later."""
    server = test.server(config=BUSY).start()
    publisher = Session("publisher", 5)
    sent, acked = {}, {}
    by_mid = {}
    # The client calls back with a lock of its own held, which publish() takes too: so no lock of ours here.
    answered = queue.SimpleQueue()
    publisher.client.on_publish = lambda client, data, mid, *rest: answered.put(mid)
    for number in range(max(test.options.rounds // 5, 2)):
        publisher.connect(server.mqtt_port)
        end = time.monotonic() + 0.3 * test.rng.random()
        while time.monotonic() < end:
            topic = f"state/{test.rng.randrange(10)}"
            sent[topic] = sent.get(topic, 0) + 1
            info = publisher.client.publish(topic, str(sent[topic]), test.rng.choice([1, 2]), retain=True)
            by_mid[info.mid] = (topic, sent[topic])
            time.sleep(0.001)
        server.kill()
        publisher.await_break()
        while not answered.empty():
            topic, value = by_mid.pop(answered.get())
            acked[topic] = max(acked.get(topic, 0), value)
        least = dict(acked)
        server.start()
        reader = Session(f"reader-{number}", 4)
        found = {}
        reader.client.on_message = lambda client, data, message: found.update({message.topic: int(message.payload)})
        reader.connect(server.mqtt_port)
        reader.client.subscribe("state/#", 1)
        expect(reader.subscribed.wait(WAIT), "no SUBACK")
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline and not found.keys() >= least.keys():
            time.sleep(0.01)
        reader.client.disconnect()
        reader.client.loop_stop()
        for topic, value in least.items():
            got = found.get(topic)
            expect(got is not None and value <= got <= sent[topic],
                   f"{topic}: {got}, but {value} was acknowledged and {sent[topic]} was sent")
    publisher.client.loop_stop()
    test.note(f"{sum(sent.values())} retained messages on {len(sent)} topics")
