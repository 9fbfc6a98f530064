"""What every end-to-end test uses: a server of its own in a temporary folder, an HTTP client, and exact arithmetic.

Nothing here knows the server's code: it is another language on purpose, so that a mistake in the server is not
repeated in what checks it. Python's standard library only, but for the clients of mqtt_clients.py. Processes are
ended by their own handle.
"""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
from fractions import Fraction

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NDJSON = "application/x-ndjson"
JSON = "application/json"


def binary():
    """The program under test: $MILLRACE_BIN, by default the release build."""
    return os.environ.get("MILLRACE_BIN", str(ROOT / "build/release/millrace"))


class Failure(AssertionError):
    """A test's expectation that did not hold; the text is for people."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def expect_equal(actual, expected, what):
    if actual != expected:
        raise Failure(f"{what}: {clip(actual)} instead of {clip(expected)}")


def clip(value, limit=600):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[:limit] + f"... ({len(text)} characters)"


class ApiError(Failure):
    """A problem document where an answer was expected."""

    def __init__(self, response):
        self.response = response
        self.status = response.status
        self.code = response.problem_code()
        super().__init__(f"HTTP {response.status}: {clip(response.text())}")


class NoAnswer(Exception):
    """The connection broke before a whole answer came: whether the request counts is not known."""


class StartFailed(Exception):
    """The server ended, or did not get ready in time."""

    def __init__(self, exit_code, stderr):
        self.exit_code = exit_code
        self.stderr = stderr
        super().__init__(f"the server ended with {exit_code} before it was ready: {clip(stderr, 2000)}")


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failure(f"HTTP {self.status} with a body that is not JSON ({error}): {clip(self.text())}") from error

    def problem_code(self):
        try:
            document = json.loads(self.body)
        except ValueError:
            return None
        return document.get("code") if isinstance(document, dict) else None

    def ok(self):
        if self.status != 200:
            raise ApiError(self)
        return self.json()


class Connection:
    """One keep-alive connection; not for several threads at once."""

    def __init__(self, port, timeout=60.0):
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        try:
            self._http.request(method, path, body=body, headers=headers or {})
            answer = self._http.getresponse()
            return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            raise NoAnswer(f"{method} {path}: {type(error).__name__}: {error}") from error

    def post_lines(self, stream, events):
        body = "\n".join(json.dumps(event, separators=(",", ":")) for event in events) + "\n"
        return self.request("POST", f"/v1/streams/{stream}/events", body.encode(), {"Content-Type": NDJSON})

    def sql(self, text):
        return self.request("POST", "/v1/sql", json.dumps({"sql": text}).encode(), {"Content-Type": JSON})

    def view(self, name, **parameters):
        query = urllib.parse.urlencode(parameters)
        return self.request("GET", f"/v1/views/{name}" + (f"?{query}" if query else ""))

    def close(self):
        self._http.close()


def yaml_text(tree, indent=0):
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict):
            lines.append(" " * indent + f"{key}:")
            lines.append(yaml_text(value, indent + 2))
        else:
            lines.append(" " * indent + f"{key}: {json.dumps(value)}")
    return "\n".join(lines)


class Server:
    """`millrace up` on a data folder. start() returns once it serves; kill(), stop() end it."""

    def __init__(self, data, config=None, args=(), env=None):
        self.data = pathlib.Path(data)
        self.files = self.data.parent
        self.files.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.args = list(args)
        self.env = env or {}
        self.process = None
        self.port = 0
        self.mqtt_port = 0
        self.restart_on_the_same_port = False
        self._connections = threading.local()
        self._starts = 0

    def command(self):
        self._starts += 1
        name = f"{self.data.name}-{self._starts}"
        self.ready_file = self.files / f"{name}.ready"
        self.stderr_file = self.files / f"{name}.stderr"
        self.stdout_file = self.files / f"{name}.stdout"
        http, mqtt = (self.port, self.mqtt_port) if self.restart_on_the_same_port else (0, 0)
        command = [binary(), "up", "--data", str(self.data), "--http-port", str(http), "--mqtt-port", str(mqtt),
                   "--postgres-port", "0",
                   "--ready-file", str(self.ready_file)]
        if self.config is not None:
            path = self.files / f"{name}.yaml"
            path.write_text(yaml_text(self.config) + "\n")
            command += ["--config", str(path)]
        return command + self.args

    def launch(self):
        command = self.command()
        self.ready_file.unlink(missing_ok=True)
        with open(self.stderr_file, "wb") as err, open(self.stdout_file, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            cwd=self.files, env={**os.environ, **self.env})
        return self

    def wait_ready(self, timeout=60.0):
        deadline = time.monotonic() + timeout
        while not self.ready_file.exists():
            if self.process.poll() is not None:
                raise StartFailed(self.process.returncode, self.stderr())
            if time.monotonic() > deadline:
                self.kill()
                raise StartFailed(None, f"not ready after {timeout} s\n{self.stderr()}")
            time.sleep(0.005)
        ready = json.loads(self.ready_file.read_text())
        expect_equal(ready["pid"], self.process.pid, "the process id in the ready file")
        self.url = ready["http"]
        self.port = urllib.parse.urlsplit(self.url).port
        self.mqtt_port = urllib.parse.urlsplit(ready["mqtt"]).port
        self.postgres_url = ready.get("postgres")
        self._connections = threading.local()
        return self

    def start(self, timeout=60.0):
        return self.launch().wait_ready(timeout)

    def stderr(self):
        return self.stderr_file.read_text(errors="replace") if self.stderr_file.exists() else ""

    def stdout(self):
        return self.stdout_file.read_text(errors="replace")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def children(self):
        """The process ids of the server's own child processes."""
        out = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                out.append(int(stat.parent.name))
        return out

    def kill(self):
        """SIGKILL; returns when the process is gone."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self, timeout=10.0):
        """SIGTERM; the exit code. The promise is 10 seconds."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"the server did not stop within {timeout} s of SIGTERM: {clip(self.stderr())}") from None

    def connect(self, timeout=60.0):
        return Connection(self.port, timeout)

    def _mine(self):
        if getattr(self._connections, "connection", None) is None:
            self._connections.connection = self.connect()
        return self._connections.connection

    def request(self, method, path, body=None, headers=None):
        return self._mine().request(method, path, body, headers)

    def get(self, path):
        return self.request("GET", path)

    def sql(self, text):
        """The answer of one statement; ApiError where it is refused."""
        return self._mine().sql(text).ok()

    def sql_rows(self, text):
        return self.sql(text)["rows"]

    def post(self, stream, events):
        """Posts JSON Lines that must all be accepted."""
        answer = self._mine().post_lines(stream, events).ok()
        expect_equal((answer["accepted"], answer["rejected"]), (len(events), []), f"posting to {stream}")
        return answer

    def view(self, name, **parameters):
        return self._mine().view(name, **parameters).ok()

    def batch_state(self):
        return self.get("/v1/batch").ok()

    def run_batch(self, full=False, timeout=120.0):
        """Asks for a batch run and waits for its end; its summary. Failures are in its `error`."""
        deadline = time.monotonic() + timeout
        response = self.request("POST", "/v1/batch", json.dumps({"full": full}).encode(), {"Content-Type": JSON})
        expect_equal(response.status, 202, f"POST /v1/batch ({clip(response.text())})")
        number = response.json()["run"]
        while True:
            for run in self.batch_state()["last"]:
                if run["run"] >= number:
                    return run
            expect(time.monotonic() < deadline, f"batch run {number} did not end: {clip(self.batch_state())}")
            time.sleep(0.01)

    def metric(self, name):
        """The sum over all label sets of a metric, or None."""
        total = None
        for line in self.get("/metrics").text().splitlines():
            match = re.match(r"([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)", line)
            if match and match.group(1) == name:
                total = (total or 0.0) + float(match.group(2))
        return total


def run_batch(server, full=False):
    """A batch run that must succeed."""
    run = server.run_batch(full)
    expect(run["error"] is None, f"the batch run failed: {clip(run)}")


def rows_as_dicts(answer):
    names = [column["name"] for column in answer["columns"]]
    return [dict(zip(names, row)) for row in answer["rows"]]


def position_sum(position):
    return sum(int(offset) for offset in position.values())


def position_not_before(later, earlier):
    """Whether no partition of `later` is behind `earlier`."""
    return all(int(later.get(partition, 0)) >= int(offset) for partition, offset in earlier.items())


def number(value):
    """A number of an answer, exactly: wide integers and decimals come as text."""
    return Fraction(value) if isinstance(value, str) else value


class ExactSum:
    """A sum of doubles without any rounding: an integer in units of the smallest double."""

    UNIT = 1 << 1074

    def __init__(self):
        self.units = 0

    def add(self, value):
        numerator, denominator = float(value).as_integer_ratio()
        self.units += numerator * (self.UNIT // denominator)

    def value(self):
        """The double nearest to the exact sum, ties to even; sums beyond the doubles are infinite."""
        try:
            return float(Fraction(self.units, self.UNIT))
        except OverflowError:
            return float("inf") if self.units > 0 else float("-inf")


class Fold:
    """The reference for one group: count, sum, avg, min, max of one column, exactly, NULL left out."""

    def __init__(self):
        self.rows = 0
        self.count = 0
        self.integer_sum = 0
        self.double_sum = ExactSum()
        self.low = None
        self.high = None

    def add(self, value):
        self.rows += 1
        if value is None:
            return
        self.count += 1
        if isinstance(value, int):
            self.integer_sum += value
        else:
            self.double_sum.add(value)
        self.low = value if self.low is None else min(self.low, value)
        self.high = value if self.high is None else max(self.high, value)

    def sum_of_doubles(self):
        return self.double_sum.value() if self.count else None

    def sum_of_integers(self):
        return self.integer_sum if self.count else None

    def mean(self):
        """Of doubles or small integers: the rounded sum divided by the count."""
        if not self.count:
            return None
        total = self.integer_sum if self.double_sum.units == 0 else self.double_sum.value()
        return total / self.count


class Test:
    """What one test gets: its folder, its random numbers, its servers, the options of the command line."""

    def __init__(self, name, options, rng):
        self.name = name
        self.options = options
        self.rng = rng
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-e2e-"))
        self.servers = []
        self.notes = []

    def server(self, data="data", config=None, args=(), env=None):
        """A server that is not started yet; it is killed at the end of the test."""
        server = Server(self.folder / data, config, args, env)
        self.servers.append(server)
        return server

    def note(self, text):
        """A line below the test's result."""
        self.notes.append(text)

    def last_stderr(self):
        texts = [server.stderr() for server in self.servers if server.process is not None]
        return "\n".join(text[-3000:] for text in texts[-2:] if text)

    def close(self, keep):
        for server in self.servers:
            server.kill()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def run_command(args, timeout=60.0, env=None, stdin=None):
    """Runs the program; (exit code, stdout, stderr)."""
    done = subprocess.run([binary(), *args], capture_output=True, timeout=timeout, input=stdin,
                          env={**os.environ, **(env or {})}, cwd=tempfile.gettempdir())
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
