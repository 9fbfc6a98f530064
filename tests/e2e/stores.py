"""Stores outside of Millrace: a PostgreSQL and a Redis of a test's own, that can be stopped, killed and emptied.

Each is a process by its own handle. PostgreSQL refuses to run as root, so it runs as Debian's user postgres then.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from harness import Failure, expect

WAIT = 60


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, timeout=WAIT):
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        expect(time.monotonic() < deadline, f"{what} within {timeout} s")
        time.sleep(0.05)


class Store:
    def __init__(self):
        self.port = free_port()
        self.process = None

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(WAIT)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(WAIT)

    @contextlib.contextmanager
    def frozen(self):
        """It stands still, as under a load that it cannot take: connections stay, and nothing answers."""
        self.process.send_signal(signal.SIGSTOP)
        children = self.children()
        self.signal(children, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(children, signal.SIGCONT)
            self.process.send_signal(signal.SIGCONT)

    @staticmethod
    def signal(pids, what):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)

    def children(self):
        try:
            return [int(pid) for pid in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
                    .read_text().split()]
        except OSError:
            return []

    def wait_until_up(self):
        def up():
            expect(self.process.poll() is None, f"a store ended: {self.log()[-800:]}")
            with contextlib.suppress(Exception):
                self.ask_alive()
                return True
            return False
        wait_for("a store", up)
        return self


class Postgres(Store):
    """`rules` are lines of pg_hba.conf instead of letting everybody in; `certificate` is (certificate, key), for TLS."""

    def __init__(self, psycopg, rules=(), certificate=None):
        super().__init__()
        self.psycopg = psycopg
        self.database = "postgres"
        self.args = []
        folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        expect(folders, "PostgreSQL is not installed: run ./dev setup")
        self.bin = folders[-1]
        # Not in the folder of the test, which the other user may not enter.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-pg-"))
        self.folder.chmod(0o755)
        self.who = {}
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self.who = {"user": "postgres", "group": "postgres", "extra_groups": []}
        done = subprocess.run([self.bin / "initdb", "-D", self.folder / "pristine", "-A", "trust", "-U", "postgres",
                               "-N", "--no-locale", "-E", "UTF8"], capture_output=True, cwd=self.folder, **self.who)
        expect(done.returncode == 0, f"initdb: {done.stderr.decode()}")
        if rules:
            (self.folder / "pristine/pg_hba.conf").write_text("\n".join(rules) + "\n")
        if certificate is not None:
            self.args = ["-c", "ssl=on"]
            for setting, path in zip(("ssl_cert_file", "ssl_key_file"), certificate):
                # A key must be its user's alone.
                own = pathlib.Path(shutil.copy(path, self.folder))
                own.chmod(0o600)
                if self.who:
                    shutil.chown(own, "postgres", "postgres")
                self.args += ["-c", f"{setting}={own}"]

    def start(self):
        data = self.folder / "data"
        if not data.exists():
            subprocess.run(["cp", "-a", self.folder / "pristine", data], check=True)
        with open(self.folder / "log", "ab") as log:
            for _ in range(100):
                # What a killed server leaves must be gone before another may begin.
                self.process = subprocess.Popen(
                    [self.bin / "postgres", "-D", data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c",
                     f"unix_socket_directories={self.folder}", "-c", "fsync=off", *self.args],
                    stdout=log, stderr=log, cwd=self.folder, **self.who)
                time.sleep(0.1)
                if self.process.poll() is None:
                    break
        return self.wait_until_up()

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def connect(self, **more):
        return self.psycopg.connect(f"host=127.0.0.1 port={self.port} user=postgres "
                                    f"dbname={self.database} connect_timeout=5",
                                    autocommit=True, **more)

    def ask_alive(self):
        with self.connect() as db:
            db.execute("SELECT 1")

    def rows(self, sql):
        with self.connect() as db:
            return db.execute(sql).fetchall()

    def run(self, sql):
        with self.connect() as db:
            db.execute(sql)

    def empty(self):
        """The same address, and nothing in it."""
        self.kill()
        shutil.rmtree(self.folder / "data")
        return self.start()

    def url(self, table):
        return f"postgres://postgres@127.0.0.1:{self.port}/{self.database}/{table}"

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class RedisError(Exception):
    pass


class RedisClient:
    """Commands and replies of RESP2; another reading of the protocol than Millrace's own."""

    def __init__(self, port, password=None, authority=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        if authority:
            self.socket = ssl.create_default_context(cafile=authority).wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.file = self.socket.makefile("rb")
        if password:
            self("AUTH", password)

    def __call__(self, *arguments):
        out = b"*%d\r\n" % len(arguments)
        for one in arguments:
            one = one if isinstance(one, bytes) else str(one).encode()
            out += b"$%d\r\n%s\r\n" % (len(one), one)
        self.socket.sendall(out)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            text = self.file.read(int(rest) + 2)[:-2]
            return text.decode()
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        raise Failure(f"Redis: {line!r}")

    def hash(self, key):
        flat = self("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2]))

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Redis(Store):
    """`certificate` is (certificate, key, the authority that signed it): then there is TLS and nothing else."""

    def __init__(self, folder, password=None, args=(), certificate=None):
        super().__init__()
        expect(shutil.which("redis-server"), "redis-server is not installed: run ./dev setup")
        self.folder = folder / f"redis-{self.port}"
        self.folder.mkdir()
        self.password = password
        self.args = list(args) + (["--requirepass", password] if password else [])
        self.listen = ["--port", str(self.port)]
        self.authority = None
        if certificate is not None:
            own, key, self.authority = map(str, certificate)
            self.listen = ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", own, "--tls-key-file", key,
                           "--tls-ca-cert-file", self.authority, "--tls-auth-clients", "no"]

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", *self.listen, "--save", "",
                                             "--dir", str(self.folder), *self.args], stdout=log, stderr=log)
        return self.wait_until_up()

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def connect(self):
        return RedisClient(self.port, self.password, self.authority)

    def ask_alive(self):
        with self.connect() as redis:
            redis("PING")

    def url(self, prefix):
        return f"{'rediss' if self.authority else 'redis'}://127.0.0.1:{self.port}/0/{prefix}"

    def remove(self):
        self.kill()


@contextlib.contextmanager
def running(store):
    try:
        yield store.start()
    finally:
        store.remove()


