"""The operator outside of the server: what `millrace plan` prints is what `millrace-op` takes."""
import hashlib
import json
import pathlib
import struct
import subprocess

from harness import binary, expect, expect_equal, run_command

HELLO, FLUSH, ERR = 1, 7, 8


def frame(op, sequence, payload=b""):
    return struct.pack("<IBI", len(payload), op, sequence) + payload


def answers(data):
    out = []
    while data:
        size, op, sequence = struct.unpack_from("<IBI", data)
        out.append((op, sequence, data[9:9 + size]))
        data = data[9 + size:]
    return out


def worker(*args, given):
    path = pathlib.Path(binary()).parent / "millrace-op"
    return subprocess.run([path, *args], input=given, capture_output=True, timeout=60), path


def test_the_plan_of_a_view_opens_the_operator(test):
    """HTTP, command line and worker agree on a plan; the worker says which build and plan it runs."""
    server = test.server().start()
    sql = ["CREATE STREAM s (at TIMESTAMP, \"the key\" VARCHAR, price DECIMAL(18,3)) WITH (time = at)",
           "CREATE MATERIALIZED VIEW v AS SELECT \"the key\" AS k, sum(price) AS p FROM s GROUP BY k"]
    for statement in sql:
        expect_equal(run_command(["sql", statement, "--server", server.url])[0], 0, statement)
    code, out, err = run_command(["plan", "v", "--server", server.url])
    expect(code == 0, f"plan: {code} {err}")
    plan = json.loads(out)
    expect_equal(plan["streams"][0]["columns"][2], {"name": "price", "type": "DECIMAL(18,3)"}, "a column of the plan")
    expect_equal(plan["streams"][0]["time"], "at", "the event time")
    expect_equal(run_command(["plan", "nope", "--server", server.url])[0], 4, "a view that is not there")

    text = out.strip().encode()
    file = pathlib.Path(server.data).parent / "plan.json"
    file.write_bytes(text)
    for args, payload in ((["--plan", str(file)], b""), ([], text)):
        done, path = worker(*args, given=frame(HELLO, 5, payload) + frame(FLUSH, 6) + frame(77, 7))
        expect_equal(done.returncode, 0, "the worker's exit code")
        got = answers(done.stdout)
        expect_equal([(op, sequence) for op, sequence, _ in got], [(HELLO, 5), (FLUSH, 6), (ERR, 7)], "the answers")
        hello = json.loads(got[0][2])
        expect_equal(hello["view"], "v", "the view")
        expect_equal(hello["plan"], hashlib.sha256(text).hexdigest(), "the digest of the plan")
        expect_equal(hello["build"], hashlib.sha256(path.read_bytes()).hexdigest(), "the digest of the build")


def test_a_worker_that_is_out_of_step_ends(test):
    """Too long a frame, half a frame, a wrong option: exit code 2."""
    for given in (struct.pack("<IBI", 0xffffffff, HELLO, 1), frame(FLUSH, 1)[:-1], frame(HELLO, 1, b"{}")[:-1]):
        done, _ = worker(given=given)
        expect_equal(done.returncode, 2, f"the exit code after {given!r}")
        expect_equal(answers(done.stdout)[-1][0], ERR, "the last answer")
    for args in (["--nope"], ["--memory", "many"], ["--plan", "/nope"]):
        expect_equal(worker(*args, given=b"")[0].returncode, 2, f"the exit code of {args}")
