"""Real MQTT clients, each in each protocol version, against a real server."""
import contextlib
import json

from harness import expect, expect_equal
from mqtt_clients import FACTORIES, Message, NodeClient5, Options, PahoClient, PahoClient5


@contextlib.contextmanager
def clients(port, factory):
    """Makes clients that are gone at the end: make(client_id, **options) is connected."""
    made = []

    def make(client_id, kind=factory, connect=True, **options):
        client = kind(Options(port=port, client_id=client_id, **options))
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


def with_each_client(test, scenario):
    """Runs the scenario with every library and version on one server; topics and ids are of its own."""
    server = test.server().start()
    for number, (name, factory) in enumerate(FACTORIES.items()):
        try:
            with clients(server.mqtt_port, factory) as make:
                scenario(make, f"c{number}")
        except Exception as error:
            raise AssertionError(f"{name}: {error}") from error
    test.note(", ".join(FACTORIES))


def test_every_client_publishes_and_receives_at_each_qos(test):
    """A message comes with the QoS at which it was published, and with its payload, to '+' and '#'."""
    def scenario(make, base):
        subscriber = make(f"{base}-sub")
        subscriber.subscribe(f"{base}/room/+/temperature", qos=2)
        publisher = make(f"{base}-pub")
        for qos in (0, 1, 2):
            publisher.publish(f"{base}/room/{qos}/temperature", f"value {qos}", qos=qos)
            got = subscriber.receive()
            expect_equal((got.topic, got.payload, got.qos, got.retain),
                         (f"{base}/room/{qos}/temperature", f"value {qos}".encode(), qos, False), f"QoS {qos}")
        publisher.publish(f"{base}/room/1/humidity", "no subscription for this", qos=1)
        subscriber.expect_no_message(publisher, f"{base}/room/9/temperature")
        lower = make(f"{base}-low")
        lower.subscribe(f"{base}/#", qos=1)
        publisher.publish(f"{base}/room/1/temperature", "lowered", qos=2)
        expect_equal(lower.receive().qos, 1, "a QoS 2 message to a subscription of QoS 1")
    with_each_client(test, scenario)


def test_every_client_gets_the_retained_message(test):
    """The last retained message of a topic greets a new subscriber; an empty one removes it."""
    def scenario(make, base):
        publisher = make(f"{base}-pub")
        topic = f"{base}/state"
        publisher.publish(topic, "old", qos=1, retain=True)
        publisher.publish(topic, "new", qos=1, retain=True)
        first = make(f"{base}-first")
        first.subscribe(f"{base}/#", qos=1)
        got = first.receive()
        expect_equal((got.payload, got.retain), (b"new", True), "at subscribing")
        publisher.publish(topic, "live", qos=1, retain=True)
        got = first.receive()
        expect_equal((got.payload, got.retain), (b"live", False), "to a subscription that was there")
        publisher.publish(topic, "", qos=1, retain=True)
        expect_equal(first.receive().payload, b"", "the empty message itself")
        second = make(f"{base}-second")
        second.subscribe(f"{base}/#", qos=1)
        second.expect_no_message(publisher, f"{base}/marker")
    with_each_client(test, scenario)


def test_every_clients_will_is_sent_when_its_connection_breaks(test):
    """A broken connection sends the will, and DISCONNECT with reason 0x04; a plain DISCONNECT does not."""
    def scenario(make, base):
        watcher = make(f"{base}-watch")
        watcher.subscribe(f"{base}/status/+", qos=1)
        for name, leave in (("lost", "drop"), ("left", "disconnect")):
            will = Message(f"{base}/status/{name}", b"gone", 1, False)
            client = make(f"{base}-{name}", will=will)
            client.subscribe(f"{base}/nothing", qos=0)
            getattr(client, leave)()
            if leave == "drop" or client.leaves_with_will:
                got = watcher.receive()
                expect_equal((got.topic, got.payload, got.qos), (will.topic, b"gone", 1), "the will")
        watcher.expect_no_message(make(f"{base}-pub"), f"{base}/status/marker")
    with_each_client(test, scenario)


def test_every_clients_session_survives_a_kill_of_the_server(test):
    """Messages for an absent client with a session are there, in order and once, after kill -9."""
    for number, (name, factory) in enumerate(FACTORIES.items()):
        server = test.server(data=f"data{number}").start()
        try:
            session_survives(server, factory, f"c{number}")
        except Exception as error:
            raise AssertionError(f"{name}: {error}") from error
        server.kill()


def session_survives(server, factory, base):
    sent = [f"{base} {i}".encode() for i in range(20)]
    with clients(server.mqtt_port, factory) as make:
        subscriber = make(f"{base}-sub", clean=False)
        subscriber.subscribe(f"{base}/queue", qos=2)
        subscriber.disconnect()
        publisher = make(f"{base}-pub", kind=PahoClient)
        publisher.publish(f"{base}/kept", "kept", qos=1, retain=True)
        for i, payload in enumerate(sent):
            publisher.publish(f"{base}/queue", payload, qos=1 + i % 2)
        server.kill()
    server.start()
    with clients(server.mqtt_port, factory) as make:
        # Connecting is enough: the subscription is the session's. The command line tool always subscribes.
        subscriber = make(f"{base}-sub", clean=False, connect=False)
        present = subscriber.connect()
        expect(present in (True, None), "CONNACK says that there is no session")
        if present is None:
            subscriber.subscribe(f"{base}/queue", qos=2)
        got = subscriber.receive_payloads(len(sent))
        expect_equal(sorted(got), sorted(sent), "what was queued")
        # A client hands a QoS 2 message on when it is released, so there is an order of each QoS.
        for first in (0, 1):
            kept = sent[first::2]
            expect_equal([payload for payload in got if payload in kept], kept, f"the order at QoS {1 + first}")
        publisher = make(f"{base}-pub", kind=PahoClient)
        subscriber.expect_no_message(publisher, f"{base}/queue")
        late = make(f"{base}-late")
        late.subscribe(f"{base}/kept", qos=1)
        got = late.receive()
        expect_equal((got.payload, got.retain), (b"kept", True), "the retained message after the restart")


def test_every_client_can_share_a_subscription(test):
    """Each message of '$share/group/filter' goes to one member of the group, and all get some."""
    def scenario(make, base):
        members = [make(f"{base}-m{i}") for i in range(3)]
        for member in members:
            member.subscribe(f"$share/{base}/{base}/work/#", qos=1)
        alone = make(f"{base}-alone", kind=PahoClient)
        alone.subscribe(f"{base}/work/#", qos=1)
        publisher = make(f"{base}-pub", kind=PahoClient)
        sent = [str(i).encode() for i in range(30)]
        for payload in sent:
            publisher.publish(f"{base}/work/x", payload, qos=1)
        expect_equal(alone.receive_payloads(len(sent)), sent, "the subscription of its own")
        got = []
        for _ in range(len(sent)):
            got.append(take_any(members))
        expect_equal(sorted(payload for _, payload in got), sorted(sent), "what the group got together")
        expect_equal({member for member, _ in got}, {0, 1, 2}, "the members that got something")
    with_each_client(test, scenario)


def take_any(members):
    import queue
    import time
    from mqtt_clients import WAIT
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        for number, member in enumerate(members):
            with contextlib.suppress(queue.Empty):
                return number, member.messages.get(timeout=0.01).payload
    raise AssertionError("the group did not get all messages")


def test_properties_of_version_5_arrive_as_they_were_sent(test):
    """Content type, response topic, correlation data, expiry, format, user properties in order, subscription ids."""
    server = test.server().start()
    sent = {"content_type": "text/plain", "response_topic": "reply/to", "correlation_data": b"\x00\xff\x01",
            "message_expiry": 600, "payload_format": 1, "user": [("a", "1"), ("a", "2"), ("traceparent", "00-x")]}
    for number, kind in enumerate((PahoClient5, NodeClient5)):
        with clients(server.mqtt_port, kind) as make:
            base = f"c{number}"
            subscriber = make(f"{base}-sub")
            subscriber.subscribe(f"{base}/#", qos=1, subscription_id=7)
            old = make(f"{base}-old", kind=PahoClient)
            old.subscribe(f"{base}/#", qos=1)
            make(f"{base}-pub").publish(f"{base}/t", "text", qos=1, properties=sent)
            got = subscriber.receive().properties
            expect(0 < got.pop("message_expiry") <= 600, "the expiry that is left")
            expect_equal(got.pop("subscription_id"), [7], "the subscription identifier")
            expect_equal([tuple(pair) for pair in got.pop("user")], sent["user"], "user properties")
            expect_equal(got, {k: v for k, v in sent.items() if k not in ("message_expiry", "user")}, "the others")
            expect_equal(old.receive().payload, b"text", "to a client of 3.1.1")


def test_a_client_without_an_id_gets_one_and_a_second_one_takes_over(test):
    """An empty client id is assigned; the same id twice ends the first connection."""
    server = test.server().start()
    for kind in (PahoClient, PahoClient5):
        with clients(server.mqtt_port, kind) as make:
            nameless = [make("") for _ in range(2)]
            for client in nameless:
                client.subscribe("both", qos=0)
            make("pub").publish("both", "x", qos=1)
            for client in nameless:
                expect_equal(client.receive().payload, b"x", "both nameless clients are connected")
            first = make("same")
            gone = first.client
            second = make("same")
            second.subscribe("t", qos=1)
            make("pub2").publish("t", "x", qos=1)
            expect_equal(second.receive().payload, b"x", "the second of the same id")
            wait_until(lambda: not gone.is_connected(), "the first of the same id is still connected")


def wait_until(condition, text, timeout=20.0):
    import time
    deadline = time.monotonic() + timeout
    while not condition():
        expect(time.monotonic() < deadline, text)
        time.sleep(0.01)


def test_what_clients_publish_to_a_streams_topics_is_in_its_views(test):
    """PUBACK and PUBCOMP say durable and visible: a query right after counts the event, from every client."""
    server = test.server().start()
    server.sql("CREATE STREAM readings (site VARCHAR, sensor VARCHAR, value DOUBLE)"
               " WITH (mqtt = 'site/{site}/sensor/{sensor}/reading')")
    server.sql("CREATE MATERIALIZED VIEW by_site AS SELECT site, count(*) AS n, sum(value) AS total"
               " FROM readings GROUP BY site")
    for number, (name, factory) in enumerate(FACTORIES.items()):
        with clients(server.mqtt_port, factory) as make:
            watcher = make(f"w{number}")
            watcher.subscribe(f"site/s{number}/#", qos=1)
            publisher = make(f"p{number}")
            for i in range(6):
                payload = json.dumps({"value": i})
                publisher.publish(f"site/s{number}/sensor/{i}/reading", payload, qos=1 + i % 2)
                rows = server.sql_rows(f"SELECT n, total FROM by_site WHERE site = 's{number}'")
                expect_equal([[int(n), float(total)] for n, total in rows], [[i + 1, sum(range(i + 1)) * 1.0]],
                             f"{name}: the view after {i + 1} acknowledgements")
                expect_equal(watcher.receive().payload, payload.encode(), f"{name}: an ordinary subscriber")
    rows = server.sql_rows("SELECT count(*), count(DISTINCT sensor) FROM readings")
    expect_equal([int(v) for v in rows[0]], [6 * len(FACTORIES), 6], "events and sensors")
