"""PostgreSQL clients that mean harm: connections that never say who they are, messages that are none, parameters without
end, and SQL that reaches for the machine. Each gets an error and nobody else notices."""
import contextlib
import os
import resource
import socket
import struct
import time

from harness import clip, expect, expect_equal
from pg_clients import driver, psql, start
from test_limits import sockets
from test_mqtt_hostile import memory

MIB = 1 << 20
HALF_OPEN = 10_000
CONNECT_TIME_MS = 6_000
PROTOCOL = 196608


def message(kind, body=b"", length=None):
    return kind + struct.pack("!i", len(body) + 4 if length is None else length) + body


def startup(*pairs, protocol=PROTOCOL):
    body = struct.pack("!i", protocol) + b"".join(text.encode() + b"\0" for text in pairs) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


HELLO = startup("user", "anybody")


class Raw:
    """A socket that knows the frames of the protocol and nothing of their contents."""

    def __init__(self, server, data=b""):
        port = int(server.postgres_url.rsplit(":", 1)[1].split("/")[0])
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.send(data)

    def send(self, data):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)
        return self

    def _bytes(self, size):
        out = b""
        while len(out) < size:
            more = self.socket.recv(size - len(out))
            if not more:
                raise ConnectionResetError
            out += more
        return out

    def answers(self, until=b""):
        """(type, body) of each message up to one of this type, or to the end of the connection."""
        out = []
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while not out or out[-1][0] != until:
                kind, length = struct.unpack("!ci", self._bytes(5))
                out.append((kind, self._bytes(length - 4)))
        return out

    def close(self):
        self.socket.close()


def states(answers):
    """The SQLSTATEs of the errors among them."""
    return [field[1:].decode() for kind, body in answers if kind == b"E" for field in body.split(b"\0") if field[:1] == b"C"]


def healthy(server):
    code, out, err = psql(server.postgres_url, "SELECT trips FROM by_city WHERE city = 'Lima'")
    expect_equal((code, out), (0, "2\n"), f"a healthy client: {err}")


def test_ten_thousand_half_open_connections(test):
    """Silent ones and such that stop in the middle of the first message: bounded memory, HTTP goes on, all are dropped in time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HALF_OPEN + 500
    expect(hard == resource.RLIM_INFINITY or hard >= wanted, f"this needs {wanted} open files, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    server = start(test, config={"postgres": {"connections_max": HALF_OPEN, "connect_time_ms": CONNECT_TIME_MS}})
    port = int(server.postgres_url.rsplit(":", 1)[1].split("/")[0])
    before = most = memory(server)
    with sockets() as opened:
        begin = time.monotonic()
        for number in range(HALF_OPEN):
            one = socket.socket()
            opened.append(one)
            one.settimeout(20)
            one.connect(("127.0.0.1", port))
            if number % 2:
                with contextlib.suppress(OSError):
                    one.sendall(HELLO[:7])
            if number % 500 == 0:
                most = max(most, memory(server))
                expect_equal(server.view("by_city", city="Lima")["rows"][0][1], 2, "a look-up over HTTP meanwhile")
        took = time.monotonic() - begin
        most = max(most, memory(server))
        deadline = time.monotonic() + CONNECT_TIME_MS / 1000 + 20
        for one in opened:  # each is closed by the server, when its time is over
            one.settimeout(max(0.1, deadline - time.monotonic()))
            with contextlib.suppress(ConnectionResetError):
                while one.recv(1024):
                    pass
    healthy(server)
    test.note(f"{HALF_OPEN} half-open connections in {took:.1f} s: memory {before / MIB:.0f} MiB, grew by {(most - before) / MIB:.1f} MiB")
    expect(most - before < 128 * MIB, f"the memory grew by {(most - before) / MIB:.0f} MiB")


def test_connections_beyond_the_limit_are_told(test):
    """53300 and an end; who was there stays served."""
    server = start(test, config={"postgres": {"connections_max": 3}})
    inside = [Raw(server, HELLO) for _ in range(3)]
    for one in inside:
        expect_equal(one.answers(until=b"Z")[-1], (b"Z", b"I"), "a connection within the limit")
    expect(states(Raw(server, HELLO).answers()) in (["53300"], []), "a connection too many")
    expect(b"D" in [kind for kind, _ in inside[0].send(message(b"Q", b"SELECT 1\0")).answers(until=b"Z")], "an old one")
    for one in inside:
        one.close()
    deadline = time.monotonic() + 20
    while psql(server.postgres_url, "SELECT 1")[0] != 0:
        expect(time.monotonic() < deadline, "the places of closed connections stay taken")
        time.sleep(0.05)


def test_a_start_without_end_is_dropped(test):
    """A byte a second, and one GSS request after the other: no longer than the time for the start."""
    server = start(test, config={"postgres": {"connect_time_ms": 2000}})
    drips = Raw(server)
    begin = time.monotonic()
    drips.socket.settimeout(0.25)
    for byte in HELLO * 4:
        drips.send(bytes([byte]))
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            if not drips.socket.recv(1000):
                break
        expect(time.monotonic() - begin < 15, "a byte now and then keeps a connection open")
    asks = Raw(server)
    begin = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        while asks.send(struct.pack("!ii", 8, 80877104)).socket.recv(1):
            expect(time.monotonic() - begin < 15, "GSSENCRequests keep a connection open")
            time.sleep(0.05)
    healthy(server)


# What comes instead of the first message; each ends its connection.
BAD_STARTS = [("a length of 0", struct.pack("!i", 0)), ("a length of 7", struct.pack("!i", 7) + b"\0" * 3),
              ("a negative length", struct.pack("!i", -1) + b"\0" * 20),
              ("a length of 2 GiB", struct.pack("!i", 2**31 - 1) + b"\0" * 64),
              ("10,001 bytes", struct.pack("!ii", 10_001, PROTOCOL) + b"x" * 9_993),
              ("no zero at the end", struct.pack("!ii", 16, PROTOCOL) + b"user\0any"),
              ("a name without a value", startup("user", "anybody", "name")),
              ("no user", startup("database", "x")), ("protocol 2", startup("user", "anybody", protocol=131072)),
              ("protocol 9", startup("user", "anybody", protocol=9 << 16)), ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
              ("a cancel with half a key", struct.pack("!iii", 12, 80877102, 1)),
              ("a cancel of nobody", struct.pack("!iiii", 16, 80877102, 1, 1)),
              ("replication", startup("user", "anybody", "replication", "true")),
              ("a user that is not UTF-8", startup("user", "x").replace(b"x", b"\xff"))]
# What comes from one who is in: ends the connection (True), or the statement only.
BAD_MESSAGES = [("an unknown type", message(b"!"), True), ("a length of 3", message(b"Q", length=3), True),
                ("a length of 2 GiB", message(b"Q", length=2**31 - 1), True),
                ("a negative length", message(b"P", b"\0" * 8, length=-5), True),
                ("a query without its zero", message(b"Q", b"SELECT 1"), True),
                ("a Parse that is empty", message(b"P"), True),
                ("a Parse with 30,000 types that are not there", message(b"P", b"\0SELECT 1\0" + struct.pack("!h", 30_000)), True),
                ("a Bind with -1 parameters", message(b"B", b"\0\0" + struct.pack("!hh", 0, -1)), True),
                ("a Bind with a parameter of 2 GiB", message(b"B", b"\0\0" + struct.pack("!hhi", 0, 1, 2**31 - 1)), True),
                ("an Execute of nothing", message(b"E", b"nothing\0" + struct.pack("!i", 0)) + message(b"S"), False),
                ("a Describe of no kind", message(b"D", b"Xname\0"), True),
                ("a function call", message(b"F", struct.pack("!ihhh", 1, 0, 0, 0)), False),
                ("a password that nobody asked for", message(b"p", b"x\0"), True),
                ("COPY data without COPY", message(b"d", b"x") + message(b"Q", b"SELECT 1\0"), False),
                ("a query that is not UTF-8", message(b"Q", b"SELECT '\xff\xfe'\0"), False)]


def test_each_broken_message_costs_its_own_connection(test):
    """Wrong lengths, kinds and contents, before and after the start."""
    server = start(test)
    for what, data in BAD_STARTS:
        raw = Raw(server, data)
        raw.socket.shutdown(socket.SHUT_WR)
        answers = raw.answers()
        expect(all(kind in (b"E", b"N", b"v") for kind, _ in answers), f"{what}: {clip(answers)}")
        raw.close()
    for what, data, ends in BAD_MESSAGES:
        raw = Raw(server, HELLO)
        raw.answers(until=b"Z")
        raw.send(data)
        if ends:
            answers = raw.answers()
            expect(states(answers)[:1] in (["08P01"], ["54000"]) or not answers, f"{what}: {clip(answers)}")
        else:
            answers = raw.answers(until=b"Z")
            expect(answers[-1:] == [(b"Z", b"I")], f"{what}: {clip(answers)}")
        raw.close()
    healthy(server)


def test_parameters_without_end(test):
    """As large as a message may be they are taken; beyond it, and too many of them, they are refused."""
    psycopg = driver("psycopg")
    server = start(test, config={"postgres": {"message_bytes_max": 4 * MIB}})
    before = memory(server)
    with psycopg.connect(server.postgres_url, autocommit=True) as db:
        for binary in (False, True):
            size = db.execute("SELECT length(%s::VARCHAR)", ["x" * (3 * MIB)], binary=binary).fetchone()[0]
            expect_equal(size, 3 * MIB, "a large parameter")
            expect_equal(db.execute("SELECT len(%s::INTEGER[])", [list(range(50_000))], binary=binary).fetchone()[0], 50_000, "an array")
        for text, values, what in (("SELECT 1 WHERE 1 IN (" + ", ".join(["%s"] * 8_000) + ")", [1] * 8_000, "8,000 parameters"),
                                   ("SELECT %s::INTEGER[]", ["{" * 100_000], "braces"),
                                   ("SELECT %s::DECIMAL(9,2)", ["9" * MIB], "digits"),
                                   ("SELECT " + "(" * 5000 + "1" + ")" * 5000, None, "brackets"),
                                   ("SELECT 1" + "+1" * 50_000, None, "a long sum"), ("SELECT repeat('x', 2000000000)", None, "repeat")):
            try:
                db.execute(text, values)
            except psycopg.Error as error:
                expect(error.sqlstate and not error.sqlstate.startswith("XX"), f"{what}: {error.sqlstate} {clip(str(error))}")
            expect_equal(db.execute("SELECT 1").fetchone(), (1,), f"behind {what}")
    try:
        with psycopg.connect(server.postgres_url, autocommit=True) as db:
            db.execute("SELECT length(%s::VARCHAR)", ["x" * (5 * MIB)])
        expect(False, "a parameter that is larger than a message may be")
    except psycopg.Error:
        pass
    healthy(server)
    grown = (memory(server) - before) / MIB
    test.note(f"the memory grew by {grown:.0f} MiB")
    expect(grown < 512, f"the memory grew by {grown:.0f} MiB")


FORBIDDEN = ["COPY trips FROM PROGRAM 'cat /etc/passwd'", "COPY trips TO PROGRAM 'cat'", "COPY trips TO '{folder}/stolen.csv'",
             "COPY trips FROM '/etc/passwd'", "COPY (SELECT * FROM read_text('/etc/passwd')) TO STDOUT", "EXPORT DATABASE '{folder}/stolen'",
             "IMPORT DATABASE '{folder}'", "SELECT * FROM '/etc/passwd'", "SELECT * FROM '{folder}/x.parquet'",
             "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_blob('/etc/*')",
             "SELECT * FROM read_parquet('{folder}/*')", "SELECT * FROM read_json('/etc/passwd')", "SELECT * FROM glob('/*')",
             "SELECT * FROM parquet_metadata('{folder}/x')", "SELECT * FROM sniff_csv('/etc/passwd')", "SELECT pg_read_file('/etc/passwd')",
             "SELECT pg_ls_dir('/')", "SELECT lo_import('/etc/passwd')", "SELECT * FROM 'https://example.com/x.csv'",
             "SELECT * FROM read_csv('https://example.com/x.csv')", "SELECT * FROM read_parquet('s3://bucket/x')",
             "ATTACH '{folder}/stolen.db' AS stolen", "ATTACH 'host=127.0.0.1' AS p (TYPE postgres)", "DETACH memory", "USE memory",
             "INSTALL httpfs", "LOAD httpfs", "LOAD '/tmp/evil.duckdb_extension'", "FORCE INSTALL httpfs", "CREATE EXTENSION plpython3u",
             "PRAGMA database_list", "PRAGMA enable_external_access=true", "CALL pragma_version()", "CHECKPOINT", "VACUUM",
             "SET enable_external_access = true", "SET GLOBAL memory_limit = '1TB'", "SET temp_directory = '{folder}'", "RESET ALL; SET x = 1",
             "SET allow_unsigned_extensions = true", "SET threads = 1000", "SET home_directory = '/root'", "SELECT getenv('HOME')",
             "SELECT current_setting('home_directory') || 'x'", "SELECT * FROM duckdb_settings()", "SELECT * FROM duckdb_secrets()",
             "CREATE SECRET s (TYPE s3)", "CREATE MACRO m(x) AS x", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
             "CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'import os'", "DO $$ BEGIN END $$", "SELECT * FROM query('SELECT 1')",
             "SELECT * FROM query_table('trips')", "SELECT * FROM json_execute_serialized_sql('x')", "SELECT write_log('x')",
             "SELECT pg_sleep(100)", "SELECT dblink('host=127.0.0.1', 'SELECT 1')", "CREATE TABLE t FROM '/etc/passwd'",
             "CREATE TABLE t FROM '../../../etc/passwd'", "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw", "CREATE ROLE x SUPERUSER",
             "ALTER SYSTEM SET x = 1", "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "LISTEN x", "LOCK TABLE trips",
             "PREPARE TRANSACTION 'x'", "REINDEX TABLE trips", "CLUSTER trips", "SELECT nextval('s')", "DELETE FROM trips", "UPDATE trips SET n = 1",
             "TRUNCATE trips", "SELECT * FROM sqlite_master", "SELECT * FROM system.main.duckdb_tables", "SELECT * FROM mr_source(1)",
             "INSERT INTO by_city VALUES ('x', 1, 1)"]
# They look like settings that are kept and mean nothing; or give nothing.
HARMLESS = {"RESET ALL; SET x = 1", "SELECT current_setting('home_directory') || 'x'"}


def test_sql_that_reaches_for_the_machine(test):
    """Files, programs, network, settings, extensions and secrets: an error with its id by both ways of asking, and no trace."""
    psycopg = driver("psycopg")
    server = start(test)
    folder = test.folder / "reach"
    folder.mkdir()
    served = []
    with psycopg.connect(server.postgres_url, autocommit=True) as db:
        for text in FORBIDDEN:
            text = text.replace("{folder}", str(folder))
            for extended in (False, True):
                try:
                    rows = db.execute(text.encode(), prepare=True if extended else None)
                    served.append(f"{text} -> {rows.fetchall() if rows.description else rows.statusmessage}")
                except psycopg.Error as error:
                    expect(error.sqlstate and not error.sqlstate.startswith("XX"), f"{text}: {error.sqlstate} {error}")
                    expect(error.diag.context or error.sqlstate == "42601", f"{text}: no id: {error}")
                    expect("root:" not in str(error), f"{text} tells what is in the file: {error}")
    told = [line for line in served if not line.startswith(tuple(HARMLESS))]
    expect(not told, "these got service:\n  " + "\n  ".join(told))
    expect_equal(os.listdir(folder), [], "files that were made")
    healthy(server)
    test.note(f"{len(FORBIDDEN)} statements refused, by simple and by extended query")
