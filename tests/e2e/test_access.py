"""Everybody who may not, at each door: nobody gets in, and nobody learns what is behind.

What is there is named "zebra"; "cobra" is not there. Whoever may not see a thing must get the same answer for both,
and never a zebra that it did not bring itself. Routes come from the server's own list, so that a new one is tried, too.
"""
import base64
import json
import pathlib
import re
import socket

from harness import JSON, NDJSON, clip, expect, expect_equal
from mqtt_clients import Options, PahoClient5
from test_mqtt_hostile import Raw, packet, text

SECRETS = {name: f"{name}-Secret-Word" for name in ("root", "nobody", "other", "insider")}
# What a user may have besides: each on other things than zebras.
GRANTS = ["GRANT PUBLISH, SUBSCRIBE, SELECT ON lion_events, lion_view TO other",
          "GRANT PUBLISH, SUBSCRIBE ON TOPIC 'lion/#' TO other"]
SETUP = [
    "CREATE STREAM zebra_events (zebra_key VARCHAR, zebra_n BIGINT) WITH (key = zebra_key, mqtt = 'zebra/{zebra_key}/n')",
    "CREATE MATERIALIZED VIEW zebra_view AS SELECT zebra_key, sum(zebra_n) AS zebra_sum FROM zebra_events GROUP BY zebra_key",
    "CREATE VIEW zebra_plain AS SELECT zebra_key FROM zebra_events",
    "CREATE TABLE zebra_table AS SELECT zebra_key FROM zebra_events",
    "CREATE STREAM lion_events (lion_key VARCHAR) WITH (key = lion_key)",
    "CREATE MATERIALIZED VIEW lion_view AS SELECT lion_key, count(*) AS n FROM lion_events GROUP BY lion_key",
]


def basic(user, secret):
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


class Doors:
    """A server with users, and how each of them asks."""

    def __init__(self, test):
        self.server = test.server().start()
        for statement in SETUP:
            self.server.sql(statement)
        self.server.post("zebra_events", [{"zebra_key": "zebra_value", "zebra_n": 7}])
        self.routes = self.known_routes()
        self.root = {"Authorization": basic("root", SECRETS["root"])}
        for name, secret in SECRETS.items():
            who = {} if name == "root" else self.root  # the first user is made by whoever is there
            expect_equal(self.sql(who, f"CREATE USER {name} WITH PASSWORD '{secret}'").status, 200, f"making {name}")
        self.tokens = {}
        for statement in [*GRANTS, "GRANT PUBLISH ON zebra_events TO insider", "GRANT PUBLISH ON TOPIC 'zebra/#' TO insider"]:
            expect_equal(self.sql(self.root, statement).status, 200, statement)
        for name in ("other", "nobody"):
            answer = self.sql(self.root, f"CREATE TOKEN probe FOR {name} VALID FOR '1 day'").ok()
            self.tokens[name] = re.search(r"mr_\w+", json.dumps(answer)).group(0)
        # Each logs in once before anybody guesses, so that nobody has to wait for it.
        for name, secret in SECRETS.items():
            expect_equal(self.ask({"Authorization": basic(name, secret)}, "GET", "/v1/views").status, 200, f"{name} logs in")
        self.strangers = {
            "nobody at all": {},
            "a wrong password": {"Authorization": basic("root", "Wrong-Secret-Word")},
            "a wrong token": {"Authorization": "Bearer mr_WrongTokenWrongTokenWrongToken"},
            "a user that is not there": {"Authorization": basic("zorro", SECRETS["root"])},
            "an empty password": {"Authorization": basic("root", "")},
            "half a header": {"Authorization": "Basic"},
            "a header of another kind": {"Authorization": "Digest username=root"},
        }
        self.users = {
            "a user without grants": {"Authorization": basic("nobody", SECRETS["nobody"])},
            "the token of a user without grants": {"Authorization": f"Bearer {self.tokens['nobody']}"},
            "a user with other grants": {"Authorization": basic("other", SECRETS["other"])},
            "the token of a user with other grants": {"Authorization": f"Bearer {self.tokens['other']}"},
        }

    def known_routes(self):
        hint = self.server.get("/no/such/route").json()["hint"]
        routes = re.findall(r"\b([A-Z]+) (/[^\s,]*)", hint)
        expect(len(routes) > 20, f"the routes in the hint of a 404: {hint}")
        return routes

    def ask(self, who, method, path, body=None, headers=None):
        answer = self.server.connect(timeout=20).request(method, path, body, {**who, **(headers or {})})
        return answer

    def sql(self, who, statement):
        return self.ask(who, "POST", "/v1/sql", json.dumps({"sql": statement}).encode(), {"Content-Type": JSON})


def filled(pattern, animal):
    names = {"stream": f"{animal}_events", "view": f"{animal}_view", "subject": f"{animal}_subject", "version": "1", "id": "1"}
    return re.sub(r"\{(\w+)\}", lambda name: names.get(name.group(1), f"{animal}_x"), pattern)


def bodies(pattern):
    """A body that the route would take, and its type."""
    if pattern.endswith("/events"):
        return b'{"zebra_key":"planted","zebra_n":1}', NDJSON
    if pattern.endswith("/sql"):
        return b'{"sql":"SELECT 1"}', JSON
    if "subjects" in pattern:
        return b'{"schema":"\\"long\\""}', JSON
    if pattern.startswith("/config"):
        return b'{"compatibility":"NONE"}', JSON
    return b"{}", JSON


def same_but_for_the_animal(there, absent, what):
    expect_equal(there.status, absent.status, f"{what}: the status for what is there, and for what is not")
    volatile = re.compile(r'"(instance|arrival|session)":"[^"]*"')
    expect_equal(volatile.sub("", there.text().replace("zebra", "cobra")), volatile.sub("", absent.text()),
                 f"{what}: the answers for what is there, and for what is not")


# Open to everybody, and open to every user: what they answer is looked at below.
OPEN = {"/healthz": 200, "/readyz": 200, "/startupz": 200, "/livez": 200,
        "/v1/openapi.json": 200,  # the same at every server
        "/mqtt": 426}  # MQTT's own CONNECT says who comes
# A session is its own user's: to others it is not there.
SESSION = "/v1/sessions/{session}"
KNOWN = {("GET", "/v1/streams"), ("GET", "/v1/views"), ("POST", "/v1/sql"), ("POST", "/v1/sessions"),
         ("DELETE", SESSION), ("POST", f"{SESSION}/sql"), ("POST", f"{SESSION}/cancel")}


def test_each_route_is_closed_to_those_who_may_not(test):
    """No route lets a stranger or a user without the grant in, or tells what is there from what is not."""
    doors = Doors(test)
    before = doors.ask(doors.root, "GET", "/v1/views/zebra_view").ok()["rows"]
    tried = 0
    for method, pattern in doors.routes:
        body, media_type = bodies(pattern) if method in ("POST", "PUT") else (None, JSON)
        headers = {"Content-Type": media_type} if body else {}
        open_to_all = pattern in OPEN
        registry = method == "GET" and re.match(r"/(subjects|schemas|config|mode)", pattern)
        for kinds in (doors.strangers, doors.users):
            for who, authorization in kinds.items():
                what = f"{method} {pattern} by {who}"
                there = doors.ask(authorization, method, filled(pattern, "zebra"), body, headers)
                absent = doors.ask(authorization, method, filled(pattern, "cobra"), body, headers)
                tried += 2
                if 429 in (there.status, absent.status) and kinds is doors.strangers:
                    continue  # who guesses has to wait
                if "{" not in pattern:
                    expect("zebra" not in there.text(), f"{what} tells of zebras: {clip(there.text())}")
                if open_to_all:
                    expect_equal(there.status, OPEN[pattern], what)
                    continue
                if kinds is doors.strangers:
                    expect_equal(there.status, 401, f"{what}: {clip(there.text())}")
                    expect(there.headers.get("www-authenticate"), f"{what}: no WWW-Authenticate")
                elif (method, pattern) in KNOWN or registry:
                    expect(there.status in (200, 201, 400, 404, 426), f"{what}: {there.status} {clip(there.text())}")
                else:
                    expect_equal(there.status, 403, f"{what}: {clip(there.text())}")
                same_but_for_the_animal(there, absent, what)
    # The same paths with other methods, and as WebSockets.
    for who, authorization in {**doors.strangers, **doors.users}.items():
        for path in ("/v1/views/{view}/changes", "/v1/views/{view}", "/v1/streams/{stream}/events"):
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                       "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
            answers = {animal: doors.ask(authorization, "GET", filled(path, animal), None, upgrade) for animal in ("zebra", "cobra")}
            expect(answers["zebra"].status in (401, 403, 429), f"WebSocket {path} by {who}: {answers['zebra'].status}")
            if 429 not in (answers["zebra"].status, answers["cobra"].status):
                same_but_for_the_animal(answers["zebra"], answers["cobra"], f"WebSocket {path} by {who}")
            for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
                answer = doors.ask(authorization, method, filled(path, "zebra"))
                expect(answer.status >= 400 or answer.status == 204, f"{method} {path} by {who}: {answer.status}")
                expect("zebra_value" not in answer.text() and "zebra_sum" not in answer.text(), f"{method} {path} by {who}")
    session = doors.ask(doors.root, "POST", "/v1/sessions", b"{}", {"Content-Type": JSON}).json()["session"]
    for who, authorization in doors.users.items():
        for method, path in (("POST", f"{session}/sql"), ("POST", f"{session}/cancel"), ("DELETE", session)):
            there, absent = (doors.ask(authorization, method, f"/v1/sessions/{name}", b'{"sql":"SELECT 1"}',
                                       {"Content-Type": JSON}) for name in (path, path.replace(session, "0" * len(session))))
            expect_equal(there.status, 404, f"{method} of the session of another user, by {who}")
            expect_equal(there.text().replace(session, "0" * len(session)).replace(there.json()["instance"], absent.json()["instance"]),
                         absent.text(), f"{method} of the session of another user, and of none, by {who}")
    expect_equal(doors.ask(doors.root, "DELETE", f"/v1/sessions/{session}").status, 200, "the session is there still")
    expect_equal(doors.ask(doors.root, "GET", "/v1/views/zebra_view").ok()["rows"], before, "the view after all that")
    expect_equal(before, [["zebra_value", 7]], "the view")
    # Who may publish may not read, and the other way round.
    insider = {"Authorization": basic("insider", SECRETS["insider"])}
    expect_equal(doors.ask(insider, "POST", "/v1/streams/zebra_events/events", b'{"zebra_key":"in","zebra_n":1}',
                           {"Content-Type": NDJSON}).status, 200, "publishing with the grant")
    for path in ("/v1/views/zebra_view", "/v1/views/zebra_view/changes", "/v1/streams/zebra_events/events"):
        expect_equal(doors.ask(insider, "GET", path).status, 403, f"{path} by who may only publish")
    test.note(f"{len(doors.routes)} routes, {tried} requests by {len(doors.strangers) + len(doors.users)} who may not")


STATEMENTS = [
    "SELECT * FROM zebra_events", "SELECT * FROM zebra_view", "SELECT * FROM zebra_plain", "SELECT * FROM zebra_table",
    "SELECT * FROM zebra_events__quarantine", "SELECT count(*) FROM zebra_events", "SELECT zebra_nope FROM zebra_events",
    "SELECT * FROM lion_view JOIN zebra_view ON true", "SELECT (SELECT zebra_sum FROM zebra_view LIMIT 1)",
    "WITH w AS (SELECT * FROM zebra_events) SELECT * FROM w", "SELECT * FROM zebra_view AS OF POSITION '{\"0\": 0}'",
    "SELECT * FROM (SELECT * FROM zebra_events)", "SELECT 1 WHERE EXISTS (SELECT 1 FROM zebra_events)",
    "SELECT * FROM lion_view UNION ALL SELECT zebra_key, 1 FROM zebra_events", "EXPLAIN SELECT * FROM zebra_events",
    "DESCRIBE zebra_events", "DESCRIBE zebra_view", "DROP STREAM zebra_events", "DROP MATERIALIZED VIEW zebra_view",
    "ALTER STREAM zebra_events ADD COLUMN x BIGINT", "REPLAY QUARANTINE zebra_events", "GRANT SELECT ON zebra_view TO nobody",
    "CREATE VIEW lion_spy AS SELECT * FROM zebra_events", "CREATE MATERIALIZED VIEW lion_spy AS SELECT count(*) AS n FROM zebra_events",
    "CREATE STREAM lion_spy AS SELECT * FROM zebra_events", "CREATE TABLE lion_spy AS SELECT * FROM zebra_events",
    "CREATE STREAM zebra_events (a BIGINT)", "CREATE USER zebra_events WITH PASSWORD 'x'",
    # Almost a name: a suggestion must not complete it.
    "SELECT * FROM zebra_event", "SELECT * FROM zebra_vie", "SELECT * FROM zebra_veiw", "DESCRIBE zebra_tabl",
]
# Nothing of what they give may be a zebra.
LISTS = [
    "SHOW STREAMS", "SHOW VIEWS", "SHOW TABLES", "SHOW USERS", "SHOW GRANTS", "SHOW ALL TABLES", "SHOW DATABASES", "SHOW CONNECTIONS",
    "SELECT * FROM information_schema.tables", "SELECT * FROM information_schema.columns", "SELECT * FROM duckdb_tables()",
    "SELECT * FROM duckdb_views()", "SELECT * FROM duckdb_columns()", "SELECT * FROM pg_catalog.pg_class", "SELECT * FROM sqlite_master",
    "PRAGMA show_tables", "PRAGMA database_list", "SELECT * FROM duckdb_settings()", "SELECT * FROM glob('**')",
    "SELECT * FROM read_text('{data}/catalog.db')", "SELECT * FROM read_blob('{data}/catalog.db')", "SELECT * FROM '{data}/catalog.db'",
    "SELECT * FROM read_parquet('{data}/lake/**/*.parquet')", "SELECT * FROM glob('{data}/**')", "SELECT getenv('HOME')",
    "ATTACH '{data}/catalog.db' AS c (TYPE sqlite)", "COPY (SELECT 1) TO '{data}/out'", "INSTALL httpfs", "LOAD sqlite",
    "SELECT * FROM information_schema.views", "SELECT * FROM information_schema.key_column_usage", "SELECT * FROM pg_class",
    "SELECT * FROM pg_catalog.pg_attribute", "SELECT * FROM pg_catalog.pg_description", "SELECT * FROM pg_catalog.pg_constraint",
    "SELECT * FROM pg_catalog.pg_tables", "SELECT * FROM pg_catalog.pg_views", "SELECT * FROM pg_catalog.pg_matviews",
    "SELECT * FROM pg_catalog.pg_indexes", "SELECT * FROM pg_catalog.pg_stat_user_tables", "SELECT * FROM pg_catalog.mr_objects",
    "SELECT * FROM millrace.streams", "SELECT * FROM millrace.views", "SELECT * FROM millrace.tables", "SELECT * FROM millrace.generations",
    "SELECT * FROM millrace.positions", "SELECT * FROM millrace.jobs", "SELECT * FROM millrace.connections",
    "SELECT * FROM millrace.quarantine", "SELECT * FROM millrace.audit", "SELECT * FROM millrace.metrics", "SELECT * FROM millrace.users",
    "SELECT * FROM millrace.grants", "SELECT * FROM pg_catalog.pg_roles", "SELECT pg_get_viewdef(oid) FROM pg_class",
    "SELECT to_regclass('zebra' || '_events')", "SELECT pg_get_viewdef(o) FROM range(16384, 16600) t(o)",
    "SELECT o::regclass::text FROM range(16384, 16600) t(o)", "SELECT obj_description(o) FROM range(16384, 16600) t(o)",
    "SELECT current_setting('home_directory')", "SET threads = 1", "SELECT * FROM query_table('zebra' || '_events')",
    "SELECT * FROM query('SELECT * FROM ' || 'zebra' || '_events')",
]


def test_statements_neither_read_nor_tell_what_is_not_granted(test):
    """SQL over HTTP: the same answer whether a thing is there or not, no names in lists, errors and suggestions."""
    doors = Doors(test)
    doors.ask(doors.root, "POST", "/v1/batch", b"{}", {"Content-Type": JSON})
    for who, authorization in doors.users.items():
        for statement in STATEMENTS:
            there = doors.sql(authorization, statement)
            absent = doors.sql(authorization, statement.replace("zebra", "cobra"))
            expect(there.status in (400, 403, 404), f"{statement} by {who}: {there.status} {clip(there.text())}")
            same_but_for_the_animal(there, absent, f"{statement} by {who}")
        for statement in LISTS:
            answer = doors.sql(authorization, statement.replace("{data}", str(doors.server.data)))
            told = answer.text().replace("zebra' || '_events", "")
            expect("zebra" not in told and SECRETS["root"] not in told, f"{statement} by {who}: {clip(told)}")
            if not statement.startswith(("SHOW", "SELECT")):
                expect(answer.status >= 400, f"{statement} by {who}: {answer.status} {clip(told)}")
    for who, authorization in doors.strangers.items():
        for statement in ("SELECT 1", "SHOW STREAMS", "SELECT * FROM zebra_view", "CREATE USER x WITH PASSWORD 'y'"):
            answer = doors.sql(authorization, statement)
            expect(answer.status in (401, 429), f"{statement} by {who}: {answer.status}")


def mqtt_connect(client_id, user=None, secret=None, will=None, level=5):
    flags = 2 | (0x80 if user is not None else 0) | (0x40 if secret is not None else 0) | (0x04 if will else 0)
    body = text("MQTT") + bytes([level, flags]) + b"\x00\x3c" + (b"\x00" if level == 5 else b"") + text(client_id)
    if will:
        body += (b"\x00" if level == 5 else b"") + text(will) + text("will")
    for value in (user, secret):
        if value is not None:
            body += text(value)
    return packet(0x10, body)


def connack(raw):
    head = raw.receive(2)
    expect_equal(head[0], 0x20, "CONNACK")
    return raw.receive(head[1])[1]


def test_mqtt_clients_neither_publish_nor_subscribe_without_a_grant(test):
    """CONNECT, will, PUBLISH of each QoS, SUBSCRIBE with wildcards, shared and $SYS: refused, and nothing is told."""
    doors = Doors(test)
    port = doors.server.mqtt_port
    witness = PahoClient5(Options(port=port, client_id="witness", user="root", password=SECRETS["root"]))
    witness.connect()
    witness.subscribe("#", qos=2)
    root = Raw(port, mqtt_connect("root", "root", SECRETS["root"]))
    expect_equal(connack(root), 0, "root connects")
    root.send(packet(0x33, text("zebra/kept/n") + b"\x00\x01\x00" + b"3"))
    root.receive(root.receive(2)[1])
    for level, refused in ((5, {0x86, 0x87, 0x97}), (4, {4, 5, 3})):
        for user, secret in ((None, None), ("root", "Wrong-Secret-Word"), ("zorro", "x"), ("root", None), ("root", ""), ("", ""),
                             (None, SECRETS["root"]) if level == 5 else ("", "x"), ("root", "mr_WrongTokenWrongTokenWrongToken"),
                             ("root", doors.tokens["other"])):
            raw = Raw(port, mqtt_connect("stranger", user, secret, level=level))
            code = connack(raw)
            expect(code in refused, f"CONNECT level {level} of {user!r}: {code}")
            expect(b"zebra" not in raw.until_closed(), "what a stranger is told")
    for name, secret in (("nobody", SECRETS["nobody"]), ("other", SECRETS["other"]), ("other", doors.tokens["other"])):
        will = Raw(port, mqtt_connect("will", name, secret, will="zebra/will/n"))
        expect_equal(connack(will), 0x87, f"the will of {name}")
        raw = Raw(port, mqtt_connect(f"client of {name}", name, secret))
        expect_equal(connack(raw), 0, f"{name} connects")
        filters = ["#", "+/#", "zebra/#", "zebra/+/n", "zebra/kept/n", "+/+/+", "$share/group/#", "$share/group/zebra/kept/n", "$SYS/#",
                   "$SYS/broker/clients/total", "views/#", "views/zebra_view/#", "lions/#"]
        for number, one in enumerate(filters, 1):
            raw.send(packet(0x82, number.to_bytes(2, "big") + b"\x00" + text(one) + b"\x01"))
            head = raw.receive(2)
            expect_equal(head[0], 0x90, f"the answer to SUBSCRIBE {one} of {name}: a message came?")
            answer = raw.receive(head[1])
            # All views: those that the user may read, which are none. No row may come below.
            expect(answer[-1] >= 0x80 or one == "views/#", f"SUBSCRIBE {one} of {name} was granted")
            expect(b"zebra" not in answer, f"SUBSCRIBE {one} of {name} tells {answer}")
        for qos in (1, 2):
            for number, topic in enumerate(("zebra/planted/n", "zebra", "elsewhere", "views/zebra_view/x", "$SYS/x"), 1):
                raw.send(packet(0x30 | qos << 1, text(topic) + number.to_bytes(2, "big") + b"\x00" + b"1"))
                head = raw.receive(2)
                answer = raw.receive(head[1])
                expect_equal(head[0], 0x40 if qos == 1 else 0x50, f"the answer to PUBLISH {topic} of {name}")
                expect(answer[2] in (0x87, 0x90), f"PUBLISH {topic} at QoS {qos} of {name}: {answer[2]:#x}")
        raw.send(packet(0x30, text("zebra/planted/n") + b"\x00" + b"1"))
        raw.send(b"\xc0\x00")
        expect_equal(raw.receive(2), b"\xd0\x00", f"{name} after a refused PUBLISH at QoS 0")
        raw.socket.shutdown(socket.SHUT_RDWR)
        old = Raw(port, mqtt_connect("old", name, secret, level=4))
        expect_equal(connack(old), 0, "an old client connects")
        old.send(packet(0x32, text("zebra/planted/n") + b"\x00\x011"))
        expect_equal(old.until_closed(), b"", f"3.1.1: the end of {name} who may not publish")
    root.send(packet(0x33, text("zebra/last/n") + b"\x00\x02\x00" + b"4"))
    root.receive(root.receive(2)[1])
    heard = []
    while len(heard) < 2:  # beside the view's rows, which are topics too
        topic = witness.receive().topic
        if not topic.startswith("views/"):
            heard.append(topic)
    expect_equal(heard, ["zebra/kept/n", "zebra/last/n"], "what was published, as who may hear everything heard it")
    witness.disconnect()
    rows = doors.ask(doors.root, "GET", "/v1/views/zebra_view").ok()["rows"]
    expect_equal(sorted(rows), [["kept", 3], ["last", 4], ["zebra_value", 7]], "the view")


def test_secrets_are_in_no_log_error_or_file(test):
    """Passwords and tokens, right and wrong, are nowhere but where they were given."""
    doors = Doors(test)
    server = doors.server
    planted = ["Planted-Secret-1", "Planted-Secret-2", "Planted-Secret-3", "Planted-Secret-4", "mr_PlantedSecretPlantedSecret5", "PlantedSecret6"]
    answers = []
    for statement in (f"CREATE USER extra WITH PASSWORD '{planted[0]}'", f"CREATE USER extra WITH PASSWORD '{planted[0]}'",
                      f"ALTER USER extra WITH PASSWORD '{planted[1]}' nonsense",
                      f"CREATE USER broken WITH PASSWORD '{planted[1]}", f"CREATE USER broken WITH PASSWORD {planted[5]}",
                      f"ALTER USER extra WITH PASSWORD '{planted[2]}'"):
        answers.append(doors.sql(doors.root, statement).text())
    for header in (f"Bearer {planted[4]}", basic("root", planted[3]), f"Basic {planted[3]}", f"Secret {planted[3]}"):
        for method, path in (("GET", "/v1/views/zebra_view"), ("POST", "/v1/sql"), ("GET", "/no/such/route"), ("GET", "/%zz")):
            answers.append(doors.ask({"Authorization": header}, method, path, b"{" if method == "POST" else None).text())
    raw = Raw(server.mqtt_port, mqtt_connect("planted", "root", planted[3]))
    answers.append(raw.until_closed().decode("latin-1"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as broken:
        broken.sendall(f"GET /v1/views HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {planted[4]}\r\nBad Header: {planted[3]}\r\n\r\n".encode())
        answers.append(broken.recv(65536).decode("latin-1"))
    for statement in ("SHOW USERS", "SHOW GRANTS"):
        answers.append(doors.sql(doors.root, statement).text())
    answers.append(doors.ask(doors.root, "GET", "/metrics").text())
    expect_equal(server.stop(), 0, "the exit code")
    texts = {"an answer": "\n".join(answers), "standard error": server.stderr(), "standard output": server.stdout()}
    for path in pathlib.Path(server.data).rglob("*"):
        if path.is_file():
            texts[f"the file {path.name}"] = path.read_bytes().decode("latin-1")
    for where, content in texts.items():
        for secret in [*SECRETS.values(), *doors.tokens.values(), *planted, "Wrong-Secret-Word", doors.root["Authorization"][6:]]:
            expect(secret not in content, f"a secret is in {where}: ...{content[max(0, content.find(secret) - 80):][:80]!r}")


def test_pages_of_others_cannot_use_a_server_of_this_machine(test):
    """Without users, this machine may do everything; a page of another site in its browser may nothing."""
    server = test.server().start()
    server.sql("CREATE STREAM zebra_events (a BIGINT)")
    expect_equal(server.connect().request("GET", "/v1/streams").status, 200, "this machine, by its address")
    for host in ("localhost", f"localhost:{server.port}", f"127.0.0.1:{server.port}", f"[::1]:{server.port}", "a.localhost"):
        expect_equal(server.connect().request("GET", "/v1/streams", None, {"Host": host}).status, 200, f"Host: {host}")
    # Its owner may say that the name is this machine, and the browser takes the owner's page for ours.
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", "localhost.evil.example", "evil"):
        for method, path in (("GET", "/v1/streams"), ("GET", "/v1/views/x/changes"), ("GET", "/metrics"), ("POST", "/v1/sql")):
            answer = server.connect().request(method, path, b'{"sql":"SHOW STREAMS"}' if method == "POST" else None,
                                              {"Host": host, "Content-Type": JSON})
            expect_equal(answer.status, 401, f"{method} {path} with Host: {host}")
            expect("zebra" not in answer.text(), f"{method} {path} with Host: {host}: {clip(answer.text())}")
        expect_equal(server.connect().request("GET", "/healthz", None, {"Host": host}).status, 200, "health by any name")
    # What a form or a script of any page may send without being asked.
    drop = json.dumps({"sql": "DROP STREAM zebra_events"}).encode()
    for origin in ("http://evil.example", "null", "https://127.0.0.1.evil.example", f"http://localhost:{server.port}", "file://"):
        for method, path, body in (("POST", "/v1/sql", drop), ("POST", "/v1/batch", None), ("DELETE", "/v1/batch", None),
                                   ("POST", "/v1/streams/zebra_events/events", b'{"a":1}')):
            headers = {"Origin": origin} if body is None or path == "/v1/sql" else {"Origin": origin, "Content-Type": NDJSON}
            answer = server.connect().request(method, path, body, headers)
            expect_equal(answer.status, 403, f"{method} {path} with Origin: {origin}: {clip(answer.text())}")
    own = server.connect().request("POST", "/v1/sql", b'{"sql":"SELECT count(*) FROM zebra_events"}',
                                   {"Origin": server.url, "Content-Type": JSON})
    expect_equal(own.ok()["rows"], [[0]], "a page of the server's own address")
