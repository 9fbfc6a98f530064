"""Real MQTT clients behind one small interface: Eclipse Paho for Python, MQTT.js, and mosquitto_pub/mosquitto_sub.

Each client is an object with connect(), subscribe(), publish() (returns when the server has acknowledged), receive(),
disconnect() (with DISCONNECT) and drop() (the connection breaks, so the will is sent). `FACTORIES` names them all, by
library and protocol version, for tests that run with every one of them.
"""
import base64
import dataclasses
import json
import pathlib
import queue
import shutil
import socket
import subprocess
import sys
import threading

from harness import ROOT, Failure, expect, expect_equal

WAIT = 20.0


def import_paho():
    """paho.mqtt.client, from build/python where ./dev setup installs it."""
    for site in sorted((ROOT / "build/python/lib").glob("python3*/site-packages")):
        if str(site) not in sys.path:
            sys.path.append(str(site))
    try:
        import paho.mqtt.client
        return paho.mqtt.client
    except ImportError as error:
        raise Failure("paho-mqtt is not installed: run ./dev setup") from error


@dataclasses.dataclass
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Options:
    port: int
    client_id: str = ""
    clean: bool = True
    will: Message | None = None
    transport: str = "tcp"  # or tls, ws, wss
    ca: str = ""  # the authority of the server's certificate, a file


class Client:
    """What all have in common: the messages that came, and waiting for them."""
    leaves_with_will = False

    def __init__(self, options):
        self.options = options
        self.messages = queue.Queue()

    def receive(self, timeout=WAIT):
        try:
            return self.messages.get(timeout=timeout)
        except queue.Empty:
            raise Failure(f"{type(self).__name__} {self.options.client_id!r}: no message within {timeout} s") from None

    def receive_payloads(self, count):
        return [self.receive().payload for _ in range(count)]

    def expect_no_message(self, marker_from, topic):
        """Nothing more is under way: a marker that is published now is the next message."""
        marker_from.publish(topic, b"marker", qos=2)
        expect_equal(self.receive().payload, b"marker", f"{self.options.client_id}: the next message")


# --- Eclipse Paho ---------------------------------------------------------------------------------

class PahoClient(Client):
    version = 4

    def __init__(self, options):
        super().__init__(options)
        self.paho = import_paho()
        v5 = self.version == 5
        arguments = {} if v5 else {"clean_session": options.clean}
        self.client = self.paho.Client(self.paho.CallbackAPIVersion.VERSION2, client_id=options.client_id,
                                       protocol=self.paho.MQTTv5 if v5 else self.paho.MQTTv311,
                                       reconnect_on_failure=False,
                                       transport="websockets" if options.transport in ("ws", "wss") else "tcp",
                                       **arguments)
        if options.transport in ("ws", "wss"):
            self.client.ws_set_options(path="/mqtt")
        if options.transport in ("tls", "wss"):
            self.client.tls_set(options.ca)
        self.connected = queue.Queue()
        self.subscribed = queue.Queue()
        self.client.on_connect = lambda client, data, flags, reason, properties: self.connected.put((flags, reason))
        self.client.on_subscribe = lambda client, data, mid, reasons, properties: self.subscribed.put(reasons)
        self.client.on_message = self.on_message
        if options.will:
            self.client.will_set(options.will.topic, options.will.payload, options.will.qos, options.will.retain)

    def on_message(self, client, data, message):
        properties = {}
        if self.version == 5 and message.properties is not None:
            names = {"ContentType": "content_type", "ResponseTopic": "response_topic",
                     "CorrelationData": "correlation_data", "MessageExpiryInterval": "message_expiry",
                     "PayloadFormatIndicator": "payload_format", "SubscriptionIdentifier": "subscription_id"}
            for attribute, name in names.items():
                if hasattr(message.properties, attribute):
                    properties[name] = getattr(message.properties, attribute)
            properties["user"] = getattr(message.properties, "UserProperty", [])
        self.messages.put(Message(message.topic, message.payload, message.qos, message.retain, properties))

    def connect(self):
        """Whether the server had the session."""
        arguments = {}
        if self.version == 5:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if self.options.clean else 3600
            arguments = {"clean_start": self.options.clean, "properties": properties}
        self.client.connect("127.0.0.1", self.options.port, keepalive=30, **arguments)
        self.client.loop_start()
        flags, reason = self.connected.get(timeout=WAIT)
        expect(not reason.is_failure, f"CONNECT was refused: {reason}")
        return flags.session_present

    def subscribe(self, topic_filter, qos=0, subscription_id=None):
        arguments = {}
        if subscription_id is not None:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties
            properties = Properties(PacketTypes.SUBSCRIBE)
            properties.SubscriptionIdentifier = subscription_id
            arguments = {"properties": properties}
        self.client.subscribe(topic_filter, qos, **arguments)
        reasons = self.subscribed.get(timeout=WAIT)
        expect(not reasons[0].is_failure, f"SUBSCRIBE {topic_filter} was refused: {reasons}")
        expect_equal(reasons[0].value, qos, f"the QoS granted for {topic_filter}")

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        arguments = {}
        if properties:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties
            sent = Properties(PacketTypes.PUBLISH)
            names = {"content_type": "ContentType", "response_topic": "ResponseTopic",
                     "correlation_data": "CorrelationData", "message_expiry": "MessageExpiryInterval",
                     "payload_format": "PayloadFormatIndicator", "user": "UserProperty"}
            for name, value in properties.items():
                setattr(sent, names[name], value)
            arguments = {"properties": sent}
        info = self.client.publish(topic, payload, qos, retain, **arguments)
        info.wait_for_publish(WAIT)
        expect(info.is_published(), f"PUBLISH to {topic} at QoS {qos} was not acknowledged")

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()

    def drop(self):
        # A shutdown wakes the client's thread; it sees a broken connection, and so does the server.
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()

    close = drop


class PahoClient5(PahoClient):
    version = 5


# --- MQTT.js --------------------------------------------------------------------------------------

class NodeClient(Client):
    """Drives mqtt_client.cjs, which does what each line of JSON on its standard input says."""
    version = 4

    def __init__(self, options):
        super().__init__(options)
        node = shutil.which("node")
        expect(node is not None, "node is not installed: run ./dev setup")
        self.process = subprocess.Popen([node, str(pathlib.Path(__file__).with_name("mqtt_client.cjs"))],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            if "message" not in answer:
                self.answers.put(answer)
                continue
            message = answer["message"]
            properties = message["properties"]
            if "correlation_data" in properties:
                properties["correlation_data"] = base64.b64decode(properties["correlation_data"])
            self.messages.put(Message(message["topic"], base64.b64decode(message["payload"]), message["qos"],
                                      message["retain"], properties))

    def ask(self, operation, **arguments):
        self.process.stdin.write(json.dumps({"op": operation, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self.answers.get(timeout=WAIT)
        expect("error" not in answer, f"MQTT.js: {operation} {arguments}: {answer.get('error')}")
        return answer

    def connect(self):
        will = self.options.will
        return self.ask("connect", port=self.options.port, version=self.version, clientId=self.options.client_id,
                        transport=self.options.transport, ca=self.options.ca, clean=self.options.clean, will=will and {"topic": will.topic, "qos": will.qos,
                        "retain": will.retain, "payload": will.payload.decode()})["sessionPresent"]

    def subscribe(self, topic_filter, qos=0, subscription_id=None):
        answer = self.ask("subscribe", filter=topic_filter, qos=qos, subscriptionId=subscription_id)
        expect_equal(answer["granted"], qos, f"the QoS granted for {topic_filter}")

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        properties = dict(properties or {})
        if "correlation_data" in properties:
            properties["correlation_data"] = base64.b64encode(properties["correlation_data"]).decode()
        payload = payload if isinstance(payload, bytes) else payload.encode()
        self.ask("publish", topic=topic, payload=base64.b64encode(payload).decode(), qos=qos, retain=retain,
                 properties=properties)

    def disconnect(self):
        self.ask("disconnect")
        self.close()

    def drop(self):
        self.ask("drop")
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.reader.join(WAIT)
        self.process.stdout.close()


class NodeClient5(NodeClient):
    version = 5


# --- mosquitto_pub and mosquitto_sub --------------------------------------------------------------

class MosquittoTools(Client):
    """Subscribing is a mosquitto_sub process, each publish a mosquitto_pub process."""
    version = 4

    def __init__(self, options):
        super().__init__(options)
        expect(shutil.which("mosquitto_sub") is not None, "mosquitto-clients is not installed: run ./dev setup")
        self.process = None
        self.subscribed = queue.Queue()

    def common(self):
        return ["-h", "127.0.0.1", "-p", str(self.options.port), "-V", "5" if self.version == 5 else "311"]

    def connect(self):
        return None  # a connection is made by subscribe() and by each publish()

    def subscribe(self, topic_filter, qos=0):
        options = self.options
        command = ["stdbuf", "-oL", "mosquitto_sub", *self.common(), "-d", "-t", topic_filter, "-q", str(qos), "-F",
                   "message %q %r %t %x"]
        if options.client_id:
            command += ["-i", options.client_id]
        if not options.clean:
            command += ["-c"] + (["-x", "3600"] if self.version == 5 else [])
        if options.will:
            command += ["--will-topic", options.will.topic, "--will-payload", options.will.payload.decode(),
                        "--will-qos", str(options.will.qos)] + (["--will-retain"] if options.will.retain else [])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self.read, args=(self.process.stdout,), daemon=True).start()
        expect_equal(self.subscribed.get(timeout=WAIT), str(qos), f"the QoS granted for {topic_filter}")

    def read(self, lines):
        for line in lines:
            if line.startswith("message "):
                _, qos, retain, topic, *payload = line.rstrip("\n").split(" ")
                self.messages.put(Message(topic, bytes.fromhex("".join(payload)), int(qos), retain == "1"))
            elif line.startswith("Subscribed (mid: "):
                self.subscribed.put(line.strip().rpartition(": ")[2])

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        text = payload if isinstance(payload, str) else payload.decode()
        command = ["mosquitto_pub", *self.common(), "-t", topic, "-q", str(qos)]
        command += ["-m", text] if text else ["-n"]
        done = subprocess.run(command + (["-r"] if retain else []), capture_output=True, text=True, timeout=WAIT)
        expect_equal((done.returncode, done.stderr), (0, ""), f"mosquitto_pub -t {topic} -q {qos}")

    def disconnect(self):
        if self.process:
            self.process.terminate()  # it sends DISCONNECT
            self.process.wait(WAIT)

    def drop(self):
        if self.process:
            self.process.kill()
            self.process.wait(WAIT)

    close = drop


class MosquittoTools5(MosquittoTools):
    version = 5
    leaves_with_will = True  # mosquitto_sub says DISCONNECT with reason 0x04


FACTORIES = {
    "paho 3.1.1": PahoClient,
    "paho 5": PahoClient5,
    "MQTT.js 3.1.1": NodeClient,
    "MQTT.js 5": NodeClient5,
    "mosquitto tools 3.1.1": MosquittoTools,
    "mosquitto tools 5": MosquittoTools5,
}
