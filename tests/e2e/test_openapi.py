"""The OpenAPI document is valid, and the server does what it says: each answer that it names is provoked, and looks as
it says. Request ids and the server's log, too."""
import http.client
import json
import sys

from harness import JSON, NDJSON, ROOT, Failure, expect, expect_equal

REGISTRY = "application/vnd.schemaregistry.v1+json"
# They need a flood, a broken disk or a bug.
NOT_PROVOKED = {"429", "5XX"}
WEB_SOCKET = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


def imported():
    """The packages that ./dev setup puts into build/python."""
    for site in sorted((ROOT / "build/python/lib").glob("python3*/site-packages")):
        if str(site) not in sys.path:
            sys.path.append(str(site))
    try:
        import jsonschema
        import openapi_spec_validator
        import referencing
        import referencing.jsonschema
    except ImportError as error:
        raise Failure("openapi-spec-validator is not installed: run ./dev setup") from error
    return openapi_spec_validator, jsonschema, referencing


class Contract:
    """What the document says, and what of it was seen."""

    def __init__(self, document):
        self.document = document
        _, self.jsonschema, referencing = imported()
        resource = referencing.Resource(document, referencing.jsonschema.DRAFT202012)
        self.registry = referencing.Registry().with_resource("urn:document", resource)
        self.operations = {operation["operationId"]: (method.upper(), path, operation)
                           for path, item in document["paths"].items() for method, operation in item.items()}
        self.seen = {name: set() for name in self.operations}

    def resolved(self, value):
        while "$ref" in value:
            target = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            value = target
        return value

    def check(self, name, status, content_type, body):
        method, path, operation = self.operations[name]
        what = f"{method} {path} with {status}"
        answers = operation["responses"]
        key = str(status) if str(status) in answers else f"{status // 100}XX"
        expect(key in answers, f"{what} is not in the document: {(body or b'')[:300]}")
        self.seen[name].add(key)
        contents = self.resolved(answers[key]).get("content")
        if contents is None or body is None:
            return
        media = content_type.split(";")[0].strip()
        expect(media in contents, f"{what}: {media} is none of {list(contents)}")
        if media.endswith("json") and media != NDJSON:
            schema = {"$ref": "urn:document" + self.pointer(answers[key], media)}
            validator = self.jsonschema.Draft202012Validator(schema, registry=self.registry)
            for fault in validator.iter_errors(json.loads(body)):
                raise Failure(f"{what}: {fault.json_path}: {fault.message}: {body[:500]}")

    @staticmethod
    def pointer(answer, media):
        return f"{answer['$ref']}/content/{media.replace('~', '~0').replace('/', '~1')}/schema"

    def missing(self):
        return [f"{name}: {status}" for name, (_, _, operation) in self.operations.items()
                for status in operation["responses"] if status not in self.seen[name] | NOT_PROVOKED]


class Caller:
    def __init__(self, contract, server):
        self.contract = contract
        self.server = server

    def __call__(self, name, target, status, body=None, headers=None, whole=True):
        method, path, _ = self.contract.operations[name]
        pattern, sent = path.split("/"), target.split("?")[0].split("/")
        expect(len(pattern) == len(sent) and all(a == b or a.startswith("{") for a, b in zip(pattern, sent)),
               f"{target} is no {path}")
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        headers = dict(headers or {})
        if body is not None:
            headers.setdefault("Content-Type", JSON)
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        text = answer.read() if whole else None
        expect_equal(answer.status, status, f"{method} {target} ({(text or b'')[:300]})")
        self.contract.check(name, answer.status, answer.getheader("Content-Type", ""), text)
        connection.close()
        return answer, text


def fetched(server):
    return json.loads(server.get("/v1/openapi.json").body)


def prepared(test):
    server = test.server().start()
    server.sql("CREATE STREAM trips (started TIMESTAMP, city VARCHAR, minutes DOUBLE) WITH (key = city)")
    server.sql("CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS trips FROM trips GROUP BY city")
    server.sql("CREATE VIEW long_trips AS SELECT * FROM trips WHERE minutes > 60")
    return server


def test_the_document_is_valid_openapi(test):
    """openapi-spec-validator finds nothing wrong, and the document is served to everybody."""
    validator, _, _ = imported()
    server = test.server().start()
    document = fetched(server)
    validator.validate(document)
    expect_equal(document["openapi"], "3.1.0", "version")
    expect(document["info"]["version"], "the document has no version")
    server.sql("CREATE USER root WITH PASSWORD 'a secret of root'")
    expect_equal(fetched(server), document, "the document for a stranger")


def events(call):
    target = "/v1/streams/trips/events"
    call("postEvents", target, 200, {"city": "Lima", "minutes": 5}, {"Idempotency-Key": "k"})
    call("postEvents", target, 422, {"city": "Lima", "minutes": 6}, {"Idempotency-Key": "k"})
    call("postEvents", target + "?wait=durable", 200, '{"city":"Oslo"}\n{"city":1}\n', {"Content-Type": NDJSON})
    call("postEvents", target + "?on_error=reject", 422, {"minutes": "x"})
    call("postEvents", "/v1/streams/nothing/events", 404, {})
    call("readEvents", target, 200)
    call("readEvents", target + "?follow=perhaps", 400)
    call("readEvents", "/v1/streams/nothing/events", 404)
    call("readEvents", target + "?limit=1", 200, headers={"Accept": "text/event-stream"})
    call("replayQuarantine", "/v1/streams/trips/quarantine/replay", 200, {"where": "code = 'MR2003'"})
    call("replayQuarantine", "/v1/streams/nothing/quarantine/replay", 404, {})
    call("listStreams", "/v1/streams", 200)


def web_sockets_for_mqtt(call):
    spoken = {**WEB_SOCKET, "Sec-WebSocket-Protocol": "mqtt"}
    call("mqtt", "/mqtt", 426)
    call("mqtt", "/mqtt", 400, headers=WEB_SOCKET)
    call("mqtt", "/mqtt", 403, headers={**spoken, "Origin": "https://elsewhere.example"})
    call("mqtt", "/mqtt", 101, headers=spoken, whole=False)


def views(call):
    call("listViews", "/v1/views", 200)
    for query in ("", "?city=Lima", "?order=-trips&limit=1", "?format=csv", "?format=jsonl", "?format=arrow"):
        call("readView", "/v1/views/by_city" + query, 200)
    call("readView", "/v1/views/by_city?limit=many", 400)
    call("readView", "/v1/views/nothing", 404)
    for query in ("", "?format=csv", "?format=jsonl", "?format=arrow"):
        call("lookUpKeys", "/v1/views/by_city/lookup" + query, 200, [{"city": "Lima"}, ["nowhere"]])
    call("lookUpKeys", "/v1/views/nothing/lookup", 404, [])
    call("followView", "/v1/views/by_city/changes", 200, whole=False)
    call("followView", "/v1/views/by_city/changes", 101, whole=False, headers=WEB_SOCKET)
    call("followView", "/v1/views/by_city/changes?window=0", 400)
    call("followView", "/v1/views/nothing/changes", 404)
    call("viewPlan", "/v1/views/by_city/plan", 200)
    call("viewPlan", "/v1/views/nothing/plan", 404)


def statements_and_runs(call, server):
    for sql in ("SELECT * FROM by_city", "SELECT * FROM trips, by_city", "SHOW STREAMS", "DESCRIBE trips"):
        call("runStatement", "/v1/sql", 200, {"sql": sql})
    call("runStatement", "/v1/sql?format=csv", 200, {"sql": "SELECT 1 AS one"})
    call("runStatement", "/v1/sql", 400, {"sql": "SELECT"})
    call("runStatement", "/v1/sql", 404, {"sql": "DROP STREAM nothing"})
    call("runStatement", "/v1/sql", 409, {"sql": "CREATE STREAM trips (a BIGINT)"})
    call("startBatchRun", "/v1/batch", 202, {"full": True})
    call("startBatchRun", "/v1/batch", 400, {"fall": True})
    call("cancelBatchRun", "/v1/batch", 202)
    call("batchState", "/v1/batch", 200)
    server.run_batch()
    call("batchState", "/v1/batch", 200)
    call("listViews", "/v1/views", 200)
    for name, target in (("health", "/healthz"), ("ready", "/readyz"), ("metrics", "/metrics"),
                         ("openapi", "/v1/openapi.json")):
        call(name, target, 200)


def open_session(call, headers=None):
    return json.loads(call("openSession", "/v1/sessions", 201, None, headers)[1])["session"]


def sessions(call):
    session = f"/v1/sessions/{open_session(call)}"
    for sql in ("BEGIN", "SELECT * FROM by_city", "COMMIT", "SET statement_timeout = '1s'"):
        call("runInSession", f"{session}/sql", 200, {"sql": sql})
    call("runInSession", f"{session}/sql", 400, {"sql": "SELECT"})
    call("runInSession", f"{session}/sql", 404, {"sql": "DROP STREAM nothing"})
    call("runInSession", f"{session}/sql", 409, {"sql": "CREATE STREAM trips (a BIGINT)"})
    call("cancelInSession", f"{session}/cancel", 200)
    call("closeSession", session, 200)
    call("runInSession", f"{session}/sql", 404, {"sql": "SELECT 1"})
    call("cancelInSession", f"{session}/cancel", 404)
    call("closeSession", session, 404)


def schemas(call):
    avro = {"schema": json.dumps({"type": "record", "name": "Trip", "fields": [{"name": "city", "type": "string"}]})}
    other = {"schema": json.dumps({"type": "record", "name": "Trip", "fields": [{"name": "city", "type": "int"}]})}
    bad = {"schema": "{"}
    call("registerSchema", "/subjects/t-value/versions", 200, avro)
    call("registerSchema", "/subjects/t-value/versions", 409, other)
    call("registerSchema", "/subjects/t-value/versions", 422, bad)
    call("findSchema", "/subjects/t-value", 200, avro)
    call("findSchema", "/subjects/t-value", 404, other)
    call("findSchema", "/subjects/t-value", 422, bad)
    call("listSubjects", "/subjects", 200)
    call("listVersions", "/subjects/t-value/versions", 200)
    call("listVersions", "/subjects/nothing/versions", 404)
    for name, end in (("getVersion", ""), ("getVersionText", "/schema")):
        call(name, f"/subjects/t-value/versions/latest{end}", 200)
        call(name, f"/subjects/t-value/versions/9{end}", 404)
        call(name, f"/subjects/t-value/versions/x{end}", 422)
    call("listSchemaTypes", "/schemas/types", 200)
    for name, end in (("getSchema", ""), ("getSchemaText", "/schema"), ("listSchemaSubjects", "/subjects"),
                      ("listSchemaVersions", "/versions")):
        call(name, f"/schemas/ids/1{end}", 200)
        call(name, f"/schemas/ids/99{end}", 404)
    for name, end in (("checkCompatibility", ""), ("checkCompatibilityWith", "/latest")):
        call(name, f"/compatibility/subjects/t-value/versions{end}?verbose=true", 200, other)
        call(name, f"/compatibility/subjects/t-value/versions{end}", 422, bad)
    call("checkCompatibilityWith", "/compatibility/subjects/t-value/versions/9", 404, avro)
    for kind, path, good in (("Compatibility", "config", {"compatibility": "FULL"}), ("Mode", "mode", {"mode": "READWRITE"})):
        call(f"getSubject{kind}", f"/{path}/t-value", 404)
        for name, target in ((kind, f"/{path}"), (f"Subject{kind}", f"/{path}/t-value")):
            call(f"set{name}", target, 200, good)
            call(f"set{name}", target, 422, {next(iter(good)): "SOMETHING"})
            call(f"get{name}", target, 200)
            call(f"reset{name}", target, 200)
    call("deleteVersion", "/subjects/t-value/versions/x", 422)
    call("deleteVersion", "/subjects/t-value/versions/9", 404)
    call("deleteVersion", "/subjects/t-value/versions/1", 200)
    call("registerSchema", "/subjects/u-value/versions", 200, avro)
    call("deleteSubject", "/subjects/u-value", 200)
    call("deleteSubject", "/subjects/nothing", 404)


def refusals(call, contract):
    """What any route refuses in the same way."""
    for name, (method, path, operation) in contract.operations.items():
        target = path.replace("{stream}", "trips").replace("{view}", "by_city").replace("{subject}", "t-value")
        target = target.replace("{version}", "1").replace("{id}", "1")
        answers = operation["responses"]
        if "requestBody" in operation:
            call(name, target, 400, b"no gzip", {"Content-Encoding": "gzip"})
            call(name, target, 413, None, {"Content-Length": "99999999999", "Content-Type": JSON})
            if "415" in answers:
                call(name, target, 415, b"x", {"Content-Type": "text/nonsense"})
        elif "400" in answers and "400" not in contract.seen[name]:
            call(name, target + "?nonsense=1", 400)


def strangers(contract, server):
    server.sql("CREATE USER root WITH PASSWORD 'a secret of root'")
    call = Caller(contract, server)
    for name, (_, path, operation) in contract.operations.items():
        target = path.replace("{version}", "1").replace("{id}", "1").replace("{view}", "by_city").replace("{", "").replace("}", "")
        if "401" in operation["responses"]:
            call(name, target, 401)
    root = {"Authorization": "Basic cm9vdDphIHNlY3JldCBvZiByb290"}
    answer, _ = call("runStatement", "/v1/sql", 200, {"sql": "CREATE USER nobody WITH PASSWORD 'nobody-secret'"}, root)
    nobody = {"Authorization": "Basic bm9ib2R5Om5vYm9keS1zZWNyZXQ="}
    for name, (_, path, operation) in contract.operations.items():
        target = path.replace("{version}", "1").replace("{id}", "1").replace("{view}", "by_city").replace("{", "").replace("}", "")
        if "403" in operation["responses"] and "403" not in contract.seen[name]:
            if name == "runInSession":
                target = f"/v1/sessions/{open_session(call, nobody)}/sql"
            body = {"sql": "DROP STREAM trips"} if name in ("runStatement", "runInSession") else None
            call(name, target, 403, body, nobody)


def test_every_answer_that_the_document_names_is_given(test):
    """Each status of each operation is provoked, none comes that is not named, and bodies are as their schemas say."""
    server = prepared(test)
    contract = Contract(fetched(server))
    call = Caller(contract, server)
    events(call)
    views(call)
    web_sockets_for_mqtt(call)
    statements_and_runs(call, server)
    sessions(call)
    schemas(call)
    refusals(call, contract)
    strangers(contract, server)
    expect_equal(contract.missing(), [], "answers that are documented and never come")


def test_a_problem_names_its_request_and_the_log_does_too(test):
    """X-Request-Id comes back and stands in each problem; without one the server makes it. The log is JSON if asked."""
    ahead = test.server("ahead").start()
    stream = "CREATE STREAM e (n BIGINT)"
    ahead.sql(stream)
    at = ahead.connect().post_lines("e", [{"n": 1}, {"n": 2}]).headers["millrace-position"]
    server = test.server(config={"server": {"log_json": 1}}).start()
    server.sql(stream)
    for method, target in (("GET", "/v1/views/nothing"), ("GET", "/nowhere"), ("PUT", "/v1/sql"),
                           ("GET", "/v1/streams/e/events?limit=x")):
        reply = server.request(method, target, None, {"X-Request-Id": 'my "id"'})
        expect_equal((reply.headers["x-request-id"], reply.json()["instance"]), ('my "id"', 'my "id"'), target)
        made = server.request(method, target)
        expect(made.headers["x-request-id"], "no request id was made")
        expect_equal(made.json()["instance"], made.headers["x-request-id"], f"the made id of {target}")
    expect_equal(server.request("GET", "/v1/streams", None, {"X-Request-Id": "7"}).headers["x-request-id"], "7", "of an answer")
    # This server is behind the one that gave the position.
    late = server.request("GET", f"/v1/streams/e/events?timeout_ms=10&at_least={at}", None, {"X-Request-Id": "late"})
    expect_equal((late.status, late.problem_code(), late.json()["instance"]), (504, "MR3010", "late"), "a late read")
    server.stop()
    lines = [json.loads(line) for line in server.stderr().splitlines()]
    for line in lines:
        expect({"time", "level", "message"} <= set(line), f"a line without its members: {line}")
    expect_equal([line["message"] for line in lines if line.get("request") == "late"],
                 ["a request was answered with 504 MR3010"], "lines of the late read")
