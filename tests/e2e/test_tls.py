"""The ports with TLS and MQTT over WebSockets, with the clients that people use: curl, Python's ssl, Paho, MQTT.js."""
import contextlib
import http.client
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse

from harness import expect, expect_equal, run_command
from mqtt_clients import NodeClient, NodeClient5, Options, PahoClient, PahoClient5

EVENT = '{"at":"2026-01-01T08:00:00Z","city":"Lima"}'


def openssl(folder, *arguments, stdin=None):
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, input=stdin, timeout=60)
    expect_equal(done.returncode, 0, f"openssl {arguments}: {done.stderr.decode()}")


class Authority:
    """An authority of a test's own, and certificates that it signs."""

    def __init__(self, folder, name="ca"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.path = str(self.folder / f"{name}.crt")
        openssl(self.folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")

    def issue(self, file, common_name, names="DNS:localhost,IP:127.0.0.1"):
        openssl(self.folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                f"/CN={common_name}", "-keyout", "next.key", "-out", "next.csr")
        (self.folder / "names").write_text(f"subjectAltName={names}")
        openssl(self.folder, "x509", "-req", "-in", "next.csr", "-CA", f"{self.name}.crt", "-CAkey",
                f"{self.name}.key", "-days", "2", "-extfile", "names", "-out", "next.crt")
        for kind in ("key", "crt"):
            (self.folder / f"next.{kind}").rename(self.folder / f"{file}.{kind}")


def start(test, args=(), **tls):
    """A server with a certificate, and its authority."""
    authority = Authority(test.folder / "certificates")
    authority.issue("server", "first")
    folder = authority.folder
    config = {"tls": {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key"), **tls}}
    server = test.server(config=config, args=["--https-port", "0", "--mqtts-port", "0", *args]).start()
    ready = json.loads(server.ready_file.read_text())
    server.https_port = urllib.parse.urlsplit(ready["https"]).port
    server.mqtts_port = urllib.parse.urlsplit(ready["mqtts"]).port
    return server, authority


def ask(port, authority, path="/readyz", certificate=None):
    """(status, body, the server's common name) of one request over TLS."""
    context = ssl.create_default_context(cafile=authority.path)
    if certificate:
        context.load_cert_chain(authority.folder / f"{certificate}.crt", authority.folder / f"{certificate}.key")
    connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)
    connection.request("GET", path)
    answer = connection.getresponse()
    subject = dict(part[0] for part in connection.sock.getpeercert()["subject"])
    body = answer.read().decode()
    connection.close()
    return answer.status, body, subject["commonName"]


def test_curl_and_the_command_line_work_over_tls(test):
    """curl and millrace trust the authority that they are given, and nothing without it."""
    server, authority = start(test)
    url = f"https://localhost:{server.https_port}"
    curl = ["curl", "-sS", "--max-time", "20"]
    sql = json.dumps({"sql": "CREATE STREAM trips (at TIMESTAMP, city VARCHAR) WITH (time = at)"})
    done = subprocess.run([*curl, "--cacert", authority.path, f"{url}/v1/sql", "-H", "Content-Type: application/json",
                           "-d", sql, "-w", "%{http_code}"], capture_output=True, timeout=60)
    expect(done.stdout.endswith(b"200"), f"{done.stdout} {done.stderr}")
    for version in ("--tlsv1.2", "--tlsv1.3"):
        done = subprocess.run([*curl, version, "--cacert", authority.path, f"{url}/readyz"], capture_output=True,
                              timeout=60)
        expect(b"ready" in done.stdout, f"{version}: {done.stderr}")
    refused = subprocess.run([*curl, f"{url}/readyz"], capture_output=True, timeout=60)
    expect_equal(refused.returncode, 60, "curl without the authority")
    plain = subprocess.run([*curl, f"http://localhost:{server.https_port}/readyz"], capture_output=True, timeout=60)
    expect(b"this port speaks TLS" in plain.stdout, f"plain HTTP: {plain.stdout} {plain.stderr}")

    code, out, err = run_command(["status", "--server", url, "--ca", authority.path])
    expect_equal(code, 0, err)
    expect("trips" in out, out)
    code, out, err = run_command(["sql", "SELECT 1 AS one", "--server", url], env={"MILLRACE_CA": authority.path})
    expect_equal(code, 0, err)
    code, out, err = run_command(["status", "--server", url])
    expect_equal(code, 3, "no connection")
    expect("not trusted" in err and "--ca" in err, err)


def test_mqtt_clients_work_over_tls_and_web_sockets(test):
    """Paho and MQTT.js, in 3.1.1 and 5: each door brings what went in at another."""
    server, authority = start(test)
    ports = {"tcp": server.mqtt_port, "tls": server.mqtts_port, "ws": server.port, "wss": server.https_port}
    publisher = PahoClient5(Options(port=server.mqtt_port, client_id="publisher"))
    publisher.connect()
    for kind in (PahoClient, PahoClient5, NodeClient, NodeClient5):
        for transport in ("tls", "ws", "wss"):
            name = f"{kind.__name__}-{transport}"
            client = kind(Options(port=ports[transport], client_id=name, transport=transport, ca=authority.path))
            try:
                client.connect()
                client.subscribe(f"{name}/#", qos=2)
                publisher.publish(f"{name}/in", b"to it", qos=1)
                expect_equal(client.receive().payload, b"to it", name)
                for qos in (0, 1, 2):
                    large = bytes([qos]) * 200_000
                    client.publish(f"{name}/out", large, qos=qos)
                    got = client.receive()
                    expect_equal((got.payload == large, got.qos), (True, qos), f"{name}: 200 kB at QoS {qos}")
                client.disconnect()
            except Exception as error:
                raise AssertionError(f"{name}: {error}") from error
            finally:
                with contextlib.suppress(Exception):
                    client.close()
    publisher.disconnect()


def test_a_client_certificate_is_its_user_and_others_are_refused(test):
    """With tls.client_user: cn the common name is the user, over HTTPS; a foreign authority's is nobody."""
    folder = test.folder / "certificates"
    server, authority = start(test, client_ca=str(folder / "ca.crt"), client_certificates="optional",
                              client_user="cn")
    server.sql("CREATE STREAM trips (at TIMESTAMP, city VARCHAR) WITH (time = at)")
    server.sql("CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS n FROM trips GROUP BY city")
    server.sql("CREATE USER root WITH PASSWORD 'root-secret'")
    root = {"Authorization": "Basic cm9vdDpyb290LXNlY3JldA=="}  # root:root-secret
    for statement in ("CREATE USER reader", "GRANT SELECT ON by_city TO reader"):
        answer = server.request("POST", "/v1/sql", json.dumps({"sql": statement}).encode(),
                                {"Content-Type": "application/json", **root})
        expect_equal(answer.status, 200, statement)
    authority.issue("reader", "reader")
    authority.issue("unknown", "unknown")
    view = "/v1/views/by_city"
    expect_equal(ask(server.https_port, authority, view, "reader")[0], 200, "the user of the certificate")
    expect_equal(ask(server.https_port, authority, "/metrics", "reader")[0], 403, "which is not for that user")
    expect_equal(ask(server.https_port, authority, view, "unknown")[0], 401, "a name that is no user")
    expect_equal(ask(server.https_port, authority, view)[0], 401, "no certificate")
    forged = Authority(test.folder / "forged")
    forged.issue("reader", "reader")
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(forged.folder / "reader.crt", forged.folder / "reader.key")
    try:
        connection = http.client.HTTPSConnection("localhost", server.https_port, timeout=20, context=context)
        connection.request("GET", view)
        status = connection.getresponse().status
        expect(False, f"a certificate of another authority got {status}")
    except (ssl.SSLError, ConnectionError, http.client.HTTPException):
        pass


def test_a_new_certificate_is_taken_while_connections_go_on(test):
    """Files in place of the old ones, by themselves or at SIGHUP; a broken pair leaves the old one in use."""
    server, authority = start(test)
    context = ssl.create_default_context(cafile=authority.path)
    old = http.client.HTTPSConnection("localhost", server.https_port, timeout=20, context=context)
    old.connect()

    def still_open(what):
        old.request("GET", "/readyz")
        expect_equal(old.getresponse().read()[:1], b"{", what)

    still_open("before")
    authority.issue("server", "second")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: ask(server.https_port, authority)[2] == "second", "the second certificate")
    still_open("after the second")
    authority.issue("server", "third")
    wait_for(lambda: ask(server.https_port, authority)[2] == "third", "the third certificate, without a signal")
    (authority.folder / "server.key").write_text("not a key")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the old certificate stays in use" in server.stderr(), "the refusal in the log")
    expect_equal(ask(server.https_port, authority)[2], "third", "the old one serves")
    still_open("after the broken one")
    expect(server.metric("millrace_tls_certificate_expiry_seconds") > time.time(), "when it expires")


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.05)


def test_slow_and_many_handshakes_do_not_stop_others(test):
    """Clients that send a byte a second are dropped in time; five hundred half handshakes leave requests served."""
    server, authority = start(test)
    slow = [socket.create_connection(("127.0.0.1", port)) for port in (server.https_port, server.mqtts_port)]
    flood = [socket.create_connection(("127.0.0.1", server.https_port)) for _ in range(500)]
    for one in flood:
        one.sendall(b"\x16\x03\x01\x02\x00\x01")
    began = time.monotonic()
    for _ in range(20):
        expect_equal(ask(server.https_port, authority)[0], 200, "during the flood")
    test.note(f"a request with its handshake took {(time.monotonic() - began) / 20 * 1000:.0f} ms beside 500 half ones")
    hello = iter(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200))
    for one in slow:
        one.settimeout(1)
    closed = set()
    while len(closed) < len(slow):
        byte = bytes([next(hello)])
        for number, one in enumerate(slow):
            if number in closed:
                continue
            try:
                one.sendall(byte)
                if not one.recv(100):
                    closed.add(number)
            except TimeoutError:
                pass
            except ConnectionError:
                closed.add(number)
        expect(time.monotonic() - began < 40, "the slow clients are still connected")
    for one in [*slow, *flood]:
        one.close()
    expect_equal(ask(server.https_port, authority)[0], 200, "afterwards")


def test_a_server_may_serve_over_tls_alone(test):
    """--http-port off --mqtt-port off, postgres.tls: required: nothing is readable on the way."""
    authority = Authority(test.folder / "certificates")
    authority.issue("server", "first")
    config = {"tls": {"certificate": str(authority.folder / "server.crt"), "key": str(authority.folder / "server.key")},
              "postgres": {"tls": "required"}}
    server = test.server(config=config, args=["--http-port", "off", "--mqtt-port", "off", "--https-port", "0",
                                              "--mqtts-port", "0"]).launch()
    wait_for(lambda: server.ready_file.exists() or not server.alive(), "the ready file")
    ready = json.loads(server.ready_file.read_text())
    expect_equal(sorted(ready), ["https", "mqtts", "pid", "postgres"], "the doors")
    plain = subprocess.run(["psql", f"{ready['postgres']}?sslmode=disable", "-c", "SELECT 1"], capture_output=True, text=True, timeout=60)
    expect(plain.returncode == 2 and "TLS" in plain.stderr, f"psql without TLS: {plain.stderr}")
    expect_equal(ask(urllib.parse.urlsplit(ready["https"]).port, authority)[0], 200, "readyz")
    expect_equal(server.stop(), 0, "the exit code")


def test_a_wrong_certificate_is_a_wrong_configuration(test):
    """Exit code 2, and the file is named; so is a key that does not fit."""
    authority = Authority(test.folder / "certificates")
    authority.issue("server", "first")
    crt, key = str(authority.folder / "server.crt"), str(authority.folder / "server.key")
    for tls, name in (({"certificate": "/nowhere.crt", "key": key}, "/nowhere.crt"),
                      ({"certificate": crt, "key": str(authority.folder / "ca.key")}, "ca.key"),
                      ({"certificate": crt}, "tls.key"),
                      ({"certificate": crt, "key": key, "client_certificates": "required"}, "tls.client_ca")):
        server = test.server(data=f"data-{len(test.servers)}", config={"tls": tls}).launch()
        expect_equal(server.process.wait(30), 2, f"the exit code with {tls}")
        expect(name in server.stderr(), server.stderr())
    for arguments, name in ((["--https-port", "0"], "tls.certificate"),
                            (["--http-port", "off", "--mqtt-port", "off", "--postgres-port", "off"], "leaves no port"),
                            (["--https-port", "none"], "neither a port nor 'off'")):
        server = test.server(data=f"data-{len(test.servers)}", args=arguments).launch()
        expect_equal(server.process.wait(30), 2, f"the exit code of {arguments}")
        expect(name in server.stderr(), server.stderr())
