"""Bytes that no MQTT library sends, on raw sockets: each costs its own connection and nobody else's."""
import contextlib
import pathlib
import socket
import time

from harness import ROOT, expect, expect_equal
from mqtt_clients import Options, PahoClient

WAIT = 20.0


def remaining_length(size):
    out = b""
    while True:
        size, low = divmod(size, 128)
        out += bytes([low | (128 if size else 0)])
        if not size:
            return out


def packet(first_byte, body=b""):
    return bytes([first_byte]) + remaining_length(len(body)) + body


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return len(raw).to_bytes(2, "big") + raw


def connect(client_id, level=4, flags=2, properties=b"\x00"):
    return packet(0x10, text("MQTT") + bytes([level, flags]) + b"\x00\x3c" + (properties if level == 5 else b"") +
                  text(client_id))


class Raw:
    """A socket; says what the server answered until it closed."""

    def __init__(self, port, *parts):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            self.send(part)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, size):
        out = b""
        while len(out) < size:
            more = self.socket.recv(size - len(out))
            expect(more, f"the server closed the connection after {out!r}")
            out += more
        return out

    def until_closed(self):
        out = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while more := self.socket.recv(65536):
                out += more
        self.socket.close()
        return out


# What ends a connection of version 5, and with which reason code.
ENDS = [
    ("a second CONNECT", connect("again", 5), 0x82),
    ("a packet of type 0", b"\x00\x00", 0x81),
    ("a remaining length of five bytes", b"\x30\xff\xff\xff\xff\x01", 0x81),
    ("a remaining length that is not minimal", b"\xc0\x80\x00", 0x81),
    ("a packet of 256 MiB", b"\x30\xff\xff\xff\x7f", 0x95),
    ("QoS 3", packet(0x36, text("t") + b"\x00\x01\x00"), 0x81),
    ("DUP at QoS 0", packet(0x38, text("t") + b"\x00"), 0x81),
    ("packet id zero", packet(0x32, text("t") + b"\x00\x00\x00"), 0x82),
    ("a wildcard in a topic", packet(0x30, text("a/#") + b"\x00"), 0x81),
    ("U+0000 in a topic", packet(0x30, text(b"a\x00b") + b"\x00"), 0x81),
    ("a topic that is not UTF-8", packet(0x30, text(b"\xed\xa0\x80") + b"\x00"), 0x81),
    ("neither topic nor alias", packet(0x30, text("") + b"\x00"), 0x82),
    ("an alias that was never set", packet(0x30, text("") + b"\x03\x23\x00\x05"), 0x82),
    ("an alias above the maximum", packet(0x30, text("t") + b"\x03\x23\xff\xff"), 0x94),
    ("a SUBSCRIBE without a filter", packet(0x82, b"\x00\x01\x00"), 0x82),
    ("the filter a+", packet(0x82, b"\x00\x01\x00" + text("a+") + b"\x00"), 0x81),
    ("no local on a shared subscription", packet(0x82, b"\x00\x01\x00" + text("$share/g/a") + b"\x04"), 0x82),
    ("a packet of a server", packet(0x20, b"\x00\x00\x00"), 0x82),
    ("wrong flags", packet(0x80, b"\x00\x01\x00" + text("a") + b"\x00"), 0x81),
    ("PUBREL with a wrong reason", packet(0x62, b"\x00\x01\x10"), 0x82),
    ("a property twice", packet(0x30, text("t") + b"\x04\x01\x01\x01\x01"), 0x82),
]


def test_each_broken_packet_ends_its_own_connection_with_its_reason(test):
    """MQTT 5 gets DISCONNECT with the reason code, 3.1.1 a closed connection; the next client is served."""
    server = test.server().start()
    for number, (what, data, reason) in enumerate(ENDS):
        five = Raw(server.mqtt_port, connect(f"five{number}", 5))
        answer = five.receive(2)
        five.receive(answer[1])
        five.send(data)
        rest = five.until_closed()
        expect(len(rest) >= 3 and rest[0] == 0xE0, f"{what}: {rest!r} instead of DISCONNECT")
        expect_equal(hex(rest[2]), hex(reason), f"{what}: the reason of DISCONNECT")
    old = [data for what, data, _ in ENDS if "5" not in what][:5]
    for number, data in enumerate(old):
        three = Raw(server.mqtt_port, connect(f"three{number}"))
        expect_equal(three.receive(4), b"\x20\x02\x00\x00", "CONNACK")
        three.send(data)
        expect_equal(three.until_closed(), b"", "3.1.1: what comes before the end")
    served(server)


def test_connections_that_are_not_mqtt_are_closed(test):
    """Whatever comes first must be a CONNECT of a version that there is; refusals as the version has them."""
    server = test.server().start()
    for data in (packet(0x30, text("t") + b"x"), packet(0xC0), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        expect_equal(Raw(server.mqtt_port, data).until_closed(), b"", f"the answer to {data[:8]!r}")
    unknown = packet(0x10, text("MQTT") + b"\x06\x02\x00\x3c\x00" + text("a"))
    expect_equal(Raw(server.mqtt_port, unknown).until_closed(), b"\x20\x02\x00\x01", "level 6")
    nameless = packet(0x10, text("MQTT") + b"\x04\x00\x00\x3c" + text(""))
    expect_equal(Raw(server.mqtt_port, nameless).until_closed(), b"\x20\x02\x00\x02", "no id, and a session to keep")
    old = packet(0x10, text("MQIsdp") + b"\x03\x02\x00\x3c" + text("old"))
    expect_equal(Raw(server.mqtt_port, old).receive(4), b"\x20\x02\x00\x00", "MQTT 3.1")
    served(server)


def test_a_client_may_send_byte_by_byte(test):
    """Packets may be cut anywhere by the network."""
    server = test.server().start()
    raw = Raw(server.mqtt_port)
    data = connect("slow") + packet(0x82, b"\x00\x01" + text("t") + b"\x01") + packet(0x32, text("t") + b"\x00\x07hi")
    for byte in data:
        raw.send(bytes([byte]))
    got = raw.receive(4 + 5 + 4 + 9)
    expect(got.startswith(b"\x20\x02\x00\x00"), f"CONNACK: {got!r}")
    expect(b"\x90\x03\x00\x01\x01" in got, f"SUBACK: {got!r}")
    expect(b"\x40\x02\x00\x07" in got, f"PUBACK: {got!r}")
    expect(b"hi" in got, f"the message: {got!r}")


def test_a_healthy_client_is_served_beside_a_flood_of_rubbish(test):
    """Random packets on hundreds of connections: the server lives, answers others, and keeps its memory."""
    server = test.server().start()
    seeds = [path.read_bytes()[1:] for path in sorted(pathlib.Path(ROOT / "tests/protocol/mqtt_fuzz").iterdir())]
    expect(len(seeds) > 30, "the seeds of the fuzz target are not there")
    healthy = PahoClient(Options(port=server.mqtt_port, client_id="healthy"))
    healthy.connect()
    healthy.subscribe("healthy", qos=1)
    before = memory(server)
    slowest = 0.0
    open_sockets = []
    for number in range(600):
        version = test.rng.choice([4, 5])
        raw = Raw(server.mqtt_port, connect(f"r{number}", version))
        for _ in range(test.rng.randrange(1, 5)):
            data = bytearray(test.rng.choice(seeds))
            for _ in range(test.rng.randrange(3)):
                data[test.rng.randrange(len(data))] = test.rng.randrange(256)
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                raw.send(bytes(data))
        open_sockets.append(raw)
        if number % 20 == 0:
            begin = time.monotonic()
            healthy.publish("healthy", str(number), qos=1)
            expect_equal(healthy.receive().payload, str(number).encode(), "the healthy client's message")
            slowest = max(slowest, time.monotonic() - begin)
    grown = memory(server) - before
    for raw in open_sockets:
        raw.socket.close()
    expect(grown < 64 << 20, f"the server's memory grew by {grown >> 20} MiB")
    expect(server.alive(), "the server died")
    healthy.disconnect()
    test.note(f"the healthy client's slowest round trip {slowest * 1000:.0f} ms, memory grew by {grown >> 10} KiB")


def memory(server):
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def served(server):
    client = PahoClient(Options(port=server.mqtt_port, client_id="served"))
    client.connect()
    client.subscribe("served", qos=2)
    client.publish("served", "yes", qos=2)
    expect_equal(client.receive().payload, b"yes", "a client after all that")
    client.disconnect()
