"""Events from another broker (mosquitto), through restarts of both sides."""
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import threading
import time

from harness import expect, expect_equal
from mqtt_clients import WAIT, Options, PahoClient, PahoClient5, import_paho


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mosquitto:
    """The other broker: it keeps sessions over an orderly restart."""

    def __init__(self, folder):
        expect(shutil.which("mosquitto") is not None, "mosquitto is not installed: run ./dev setup")
        self.port = free_port()
        self.folder = folder / "mosquitto"
        self.folder.mkdir()
        (self.folder / "passwords").write_text("")
        subprocess.run(["mosquitto_passwd", "-b", str(self.folder / "passwords"), "ana", "top secret"], check=True,
                       capture_output=True)
        self.config = self.folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous false\n"
                               f"password_file {self.folder}/passwords\n"
                               f"persistence true\npersistence_location {self.folder}/\n"
                               "max_queued_messages 0\nuser root\n")
        self.process = None

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["mosquitto", "-c", str(self.config)], stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return self
            time.sleep(0.02)
        raise AssertionError("mosquitto does not listen: " + (self.folder / "log").read_text()[-500:])

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(WAIT)

    def client(self, client_id, kind=PahoClient5):
        client = kind(Options(port=self.port, client_id=client_id, user="ana", password="top secret"))
        client.connect()
        return client


@contextlib.contextmanager
def mosquitto(test):
    broker = Mosquitto(test.folder)
    try:
        yield broker.start()
    finally:
        broker.stop()


def connect(server, broker, more="", name="plant"):
    server.sql(f"CREATE CONNECTION {name} TYPE mqtt WITH (url = 'mqtt://127.0.0.1:{broker.port}', "
               f"user = 'ana', password = 'top secret', topic = 'site/+/reading'{more})")


def connection(server, name="plant"):
    answer = server.sql("SHOW CONNECTIONS")
    names = [column["name"] for column in answer["columns"]]
    return next(row for row in (dict(zip(names, values)) for values in answer["rows"]) if row["name"] == name)


def wait_for(what, condition, timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        expect(time.monotonic() < deadline, f"{what} within {timeout} s")
        time.sleep(0.05)


def connected(server, name="plant"):
    return connection(server, name)["state"] == "connected"


def test_messages_of_another_broker_become_events(test):
    """By the topics of streams, or into one stream; a bad password is told, and never shown."""
    with mosquitto(test) as broker:
        server = test.server().start()
        server.sql("CREATE STREAM readings (site VARCHAR, value DOUBLE) WITH (mqtt = 'site/{site}/reading')")
        server.sql("CREATE STREAM plain (value DOUBLE)")
        connect(server, broker)
        wait_for("a connection", lambda: connected(server))
        local = PahoClient(Options(port=server.mqtt_port, client_id="local"))
        local.connect()
        local.subscribe("site/#", qos=1)
        publisher = broker.client("publisher")
        publisher.publish("site/lima/reading", "21.5", qos=1)
        publisher.publish("site/oslo/reading", '{"value": 3}', qos=0)
        publisher.publish("site/oslo/reading", "no event", qos=1)
        expect_equal(sorted(local.receive_payloads(3)), [b"21.5", b"no event", b'{"value": 3}'], "to subscribers here")
        local.close()
        wait_for("two events", lambda: server.sql_rows("SELECT site, value FROM readings ORDER BY site") ==
                 [["lima", 21.5], ["oslo", 3.0]])
        wait_for("one in quarantine", lambda: connection(server)["quarantined"] == 1)
        shown = connection(server)
        expect_equal((shown["messages"], shown["waiting"], shown["connects"]), (3, 0, 1), "SHOW CONNECTIONS")
        expect_equal(server.metric("millrace_connection_up"), 1, "the metric")

        connect(server, broker, ", stream = 'plain', share = 'group', client_id = 'second'", "second")
        wait_for("another connection", lambda: connected(server, "second"))
        publisher.publish("site/x/reading", "7", qos=1)
        wait_for("the event of the stream", lambda: server.sql_rows("SELECT value FROM plain") == [[7.0]])

        server.sql("PAUSE CONNECTION plant")
        expect_equal(connection(server)["state"], "paused", "the state")
        publisher.publish("site/while-paused/reading", "1", qos=1)
        server.kill()
        server.start()
        expect_equal(connection(server)["state"], "paused", "the state after a restart")
        server.sql("RESUME CONNECTION plant")
        wait_for("what came meanwhile", lambda: server.sql_rows(
            "SELECT value FROM readings WHERE site = 'while-paused'") == [[1.0]])
        server.sql("DROP CONNECTION second")
        server.sql(f"CREATE CONNECTION wrong TYPE mqtt WITH (url = 'mqtt://127.0.0.1:{broker.port}', topic = 'x', "
                   "user = 'ana', password = 'not the secret')")
        wait_for("a refusal", lambda: connection(server, "wrong")["error"])
        expect("secret" not in json.dumps(server.sql("SHOW CONNECTIONS")), "a password is shown")
        expect("secret" not in server.stderr(), "a password is in the log")
        publisher.close()


class Publisher:
    """Publishes numbers at QoS 1 to the other broker, over its restarts; knows what it acknowledged."""

    def __init__(self, broker):
        self.acked = set()
        self.by_mid = {}
        self.early = set()  # the answer came before publish() returned
        self.lock = threading.Lock()
        self.room = threading.Semaphore(200)
        self.end = threading.Event()
        paho = import_paho()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="load", clean_session=False)
        self.client.username_pw_set("ana", "top secret")
        self.client.max_inflight_messages_set(100)
        self.client.reconnect_delay_set(0.1, 0.2)
        self.client.on_publish = self.on_publish
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        self.sent = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def on_publish(self, client, data, mid, reason, properties):
        with self.lock:
            if mid in self.by_mid:
                self.acked.add(self.by_mid.pop(mid))
            else:
                self.early.add(mid)
        self.room.release()

    def run(self):
        while not self.end.is_set():
            if not self.room.acquire(timeout=0.1):
                continue
            info = self.client.publish(f"site/s{self.sent % 5}/reading", json.dumps({"id": self.sent}), 1)
            with self.lock:
                if info.mid in self.early:
                    self.early.discard(info.mid)
                    self.acked.add(self.sent)
                else:
                    self.by_mid[info.mid] = self.sent
            self.sent += 1

    def stop(self):
        self.end.set()
        self.thread.join()
        wait_for("all acknowledgements", lambda: not self.by_mid)
        self.client.disconnect()
        self.client.loop_stop()
        return set(self.acked)


def test_nothing_that_the_other_broker_acknowledged_is_missing(test):
    """Under load, kill -9 of Millrace and restarts of mosquitto: each acknowledged message is there, once by dedup."""
    with mosquitto(test) as broker:
        server = test.server().start()
        server.sql("CREATE STREAM readings (site VARCHAR, id BIGINT) "
                   "WITH (mqtt = 'site/{site}/reading', dedup = id)")
        connect(server, broker)
        wait_for("a connection", lambda: connected(server))
        publisher = Publisher(broker)
        for round_number in range(6):
            so_far = len(publisher.acked)
            wait_for("some load", lambda: len(publisher.acked) > so_far + 300)
            if round_number % 2 == 0:
                server.kill()
                server.start()
            else:
                broker.stop()
                broker.start()
            wait_for("the connection again", lambda: connected(server))
        acked = publisher.stop()

        def missing():
            seen = set()
            for begin in range(0, publisher.sent, 5000):
                seen.update(int(row[0]) for row in server.sql_rows(
                    f"SELECT id FROM readings WHERE id >= {begin} AND id < {begin + 5000}"))
            return sorted(acked - seen)

        deadline = time.monotonic() + 60
        while missing() and time.monotonic() < deadline:
            time.sleep(0.2)
        left = missing()
        expect(not left, f"{len(left)} of {len(acked)} acknowledged messages are missing: {left[:10]}")
        rows, distinct = server.sql_rows("SELECT count(*), count(DISTINCT id) FROM readings")[0]
        expect_equal(int(rows), int(distinct), "events")
        shown = connection(server)
        test.note(f"{len(acked)} acknowledged, {shown['redelivered']} came again since the last start of Millrace")
