"""The interactive shell, on a real pseudo-terminal; and SUBSCRIBE by a driver."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import stat
import struct
import termios
import time

from harness import Connection, binary, clip, expect, expect_equal
from pg_clients import driver

PATIENCE = 60.0


class Terminal:
    """`millrace sql` on a pseudo-terminal of a size; what it has written so far, and the keys that are typed."""

    def __init__(self, server, home, columns=100, rows=30, args=()):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"HOME": str(home), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PAGER": "cat"})
            os.environ.pop("NO_COLOR", None)
            os.execv(binary(), ["millrace", "sql", "--server", server.url, *args])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.text = ""
        self.seen = 0

    def read(self, seconds=0.1):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
                return True
            except OSError:
                return False
        return None

    def wait(self, pattern, patience=PATIENCE):
        """Waits until the pattern is in what came since the last one that was waited for; gives the match."""
        end = time.monotonic() + patience
        while True:
            found = re.search(pattern, self.plain()[self.seen:], re.S)
            if found:
                self.seen += found.end()
                return found
            if time.monotonic() > end or self.read() is False:
                raise AssertionError(f"{pattern!r} did not come; the end: {clip(self.plain()[-1500:])!r}")

    def plain(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>()][0-9A-B]?|\r", "", self.text)

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def ask(self, line, pattern):
        self.type(line + "\r")
        return self.wait(pattern)

    def close(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def exit_code(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"the shell does not end: {clip(self.plain()[-500:])!r}")


def start(test, **options):
    server = test.server().start()
    server.sql("CREATE STREAM flights (origin VARCHAR, delay BIGINT)")
    server.sql("CREATE MATERIALIZED VIEW by_origin AS SELECT origin, count(*) AS flights, max(delay) AS worst "
               "FROM flights GROUP BY origin")
    server.post("flights", [{"origin": "JFK", "delay": 5}, {"origin": "LIM", "delay": None}])
    home = pathlib.Path(test.folder) / "home"
    home.mkdir(exist_ok=True)
    shell = Terminal(server, home, **options)
    shell.wait(r"millrace=> ")
    return server, home, shell


def test_statements_are_typed_and_answered(test):
    """Several lines, NULL, settings of the session, transactions, formats, the end by Ctrl-D."""
    _, _, shell = start(test)
    shell.type("SELECT origin, worst\r")
    shell.wait(r"millrace-> ")
    shell.ask("FROM by_origin ORDER BY 1;", r"│ JFK\s+│\s+5 │.*│ LIM\s+│\s*NULL │.*2 rows, [0-9.]+ ms")
    shell.wait("millrace=> ")
    shell.ask("SELECT 'a;b' AS x, ';' AS y; SELECT 2 AS two;", r"a;b.*│ ; .*two")
    shell.ask("BEGIN READ ONLY;", r"millrace\*=> ")
    shell.ask("SELECT no_such;", r"millrace!=> ")
    shell.ask("ROLLBACK;", r"millrace=> ")
    shell.ask("SET statement_timeout = '7s'; SHOW statement_timeout;", r"7s|7000")
    shell.ask("\\format json", "the format is json")
    shell.ask("SELECT 1 AS a;", r'"rows":\[\[1\]\]')
    shell.ask("\\format markdown", "the format is markdown")
    shell.ask("SELECT 1 AS a;", r"\| a \|")
    shell.ask("\\format table", "the format is table")
    shell.ask("\\x", "expanded is on")
    shell.ask("SELECT 1 AS a, NULL AS b;", r"─\[ row 1 \].*a │ 1.*b │ NULL")
    shell.ask("\\x off", "expanded is off")
    shell.ask("\\d by_origin", r"origin.*VARCHAR.*flights")
    shell.ask("\\dd", r"there is no command \\dd.*did you mean")
    shell.ask("\\?", r"\\watch.*millrace=> ")  # before the prompt the terminal would take Ctrl-D for itself
    shell.type("\x04")
    expect_equal(shell.exit_code(), 0, "the exit code after Ctrl-D")


def test_errors_show_the_place(test):
    """The line of the error, a caret under it, and what may have been meant."""
    _, _, shell = start(test)
    shell.type("SELECT origin,\r")
    shell.wait("millrace-> ")
    found = shell.ask("  orgin FROM by_origin;", r"error\[MR\d+\].*\n\s+2 \| (.*?)\n\s+\| ( *)\^")
    line, blanks = found.group(1), found.group(2)
    expect_equal(line[len(blanks):len(blanks) + 5], "orgin", "what the caret points at")
    shell.wait("origin")
    shell.ask("SELECT * FROM by_orgin;", r"\n\s+1 \| SELECT \* FROM by_orgin\n\s+\|\s{15}\^")
    shell.close()


def test_words_are_completed_and_history_stays(test):
    """Tab completes keywords, names and columns; the history is kept, without secrets, for its user alone."""
    server, home, shell = start(test)
    shell.type("sel\t")
    shell.wait("select ")
    shell.type("origin from by_o\t")
    shell.wait("by_origin ")
    shell.type("where wor\t")
    shell.wait("worst ")
    shell.ask("= 5;", "JFK")
    shell.wait("millrace=> ")
    shell.ask("CREATE USER ana WITH PASSWORD 'geheim' NONSENSE;", "error.*millrace=> ")
    shell.type("\x1b[A")
    shell.wait("select origin from by_origin where worst = 5;")
    shell.type("\x03")
    shell.wait("millrace=> ")
    shell.ask("\\q", "")
    expect_equal(shell.exit_code(), 0, "the exit code after \\q")
    history = home / ".millrace_history"
    expect_equal(stat.S_IMODE(history.stat().st_mode), 0o600, "who may read the history")
    text = history.read_text()
    expect("geheim" not in text, "the history has a password")
    expect("select origin from by_origin where worst = 5;" in text, f"the history: {text}")
    again = Terminal(server, home)
    again.wait("millrace=> ")
    again.type("\x1b[A\x1b[A")
    again.wait("select origin from by_origin")
    again.close()


def test_ctrl_c_ends_a_long_statement_and_not_the_shell(test):
    """A statement of hours is cancelled on the server; at the prompt Ctrl-C forgets the line."""
    _, _, shell = start(test)
    shell.ask("SET statement_timeout = '1h';", "millrace=> ")
    shell.type("SELECT count(*) FROM range(100000000) a, range(100000) b;\r")
    shell.wait("Ctrl-C cancels")
    shell.type("\x03")
    shell.wait(r"error\[MR1307\].*millrace=> ")
    shell.type("SELECT (1 +\r")
    shell.wait(r"millrace\(> ")
    shell.type("no\x03")
    shell.wait("millrace=> ")
    shell.ask("SELECT 41 + 1 AS answer;", "42")
    shell.close()


def test_a_live_query_is_kept_in_place(test):
    """SUBSCRIBE shows a table that changes as the view does, and ends with Ctrl-C."""
    server, _, shell = start(test)
    shell.type("SUBSCRIBE TO SELECT origin, flights FROM by_origin WHERE flights < 3;\r")
    shell.wait(r"│ JFK\s+│\s+1 │.*│ LIM\s+│\s+1 │.*2 rows")
    begin = len(shell.text)
    server.post("flights", [{"origin": "JFK", "delay": 1}, {"origin": "AMS", "delay": 1}])
    shell.wait(r"│ AMS\s+│\s+1 │.*│ JFK\s+│\s+2 │.*3 rows")
    expect("\x1b[" in shell.text[begin:] and "F┌" in shell.text[begin:], "the table is not drawn over the one before")
    server.post("flights", [{"origin": "JFK", "delay": 1}])
    shell.wait(r"│ AMS\s+│\s+1 │\s*│ LIM\s+│\s+1 │\s*└[^│]*2 rows")
    shell.type("\x03")
    shell.wait(r"ended at position \S+.*millrace=> ")
    shell.ask("SELECT 1 AS one;", "one")
    shell.close()


def test_wide_results_fit_the_terminal(test):
    """No line of a table is wider than the terminal; long ones go through the pager."""
    _, _, shell = start(test, columns=60, rows=12)
    columns = ", ".join(f"repeat('x', 30) AS column_{i}" for i in range(12))
    begin = len(shell.plain())
    shell.ask(f"SELECT {columns};", "columns do not fit")
    shell.wait("millrace=> ")
    table = [line for line in shell.plain()[begin:].split("\n") if line.startswith(("│", "┌", "├", "└"))]
    expect(table and max(len(line) for line in table) <= 60, f"too wide: {table[:2]}")
    # The pager is cat here: all rows come.
    shell.ask("SELECT * FROM range(100);", r"│\s+99 │.*100 rows")
    shell.close()


def test_drivers_follow_a_view(test):
    """psycopg 3: SUBSCRIBE as a stream of rows, as a cursor that is polled, and as COPY; each is cancelled."""
    psycopg = driver("psycopg")
    server = test.server().start()
    server.sql("CREATE STREAM s (k VARCHAR, n BIGINT)")
    server.sql("CREATE MATERIALIZED VIEW v AS SELECT k, sum(n) AS total FROM s GROUP BY k")
    server.post("s", [{"k": "a", "n": 1}, {"k": "b", "n": 2}])
    with psycopg.connect(server.postgres_url, autocommit=True) as connection:
        with connection.cursor() as cursor:
            rows = cursor.stream("SUBSCRIBE TO SELECT k, total FROM v WHERE k <> %s", ["b"])
            expect_equal(next(rows)[1:], ("upsert", '["a"]', "a", 1), "the first row")
            expect_equal(next(rows)[1], "progress", "behind all rows")
            server.post("s", [{"k": "c", "n": 5}])
            expect_equal(next(rows)[1:], ("upsert", '["c"]', "c", 5), "a new row")
            connection.cancel()
            try:
                for _ in rows:
                    pass
                raise AssertionError("it was not cancelled")
            except psycopg.errors.QueryCanceled:
                pass
        expect_equal(connection.execute("SELECT 1").fetchone(), (1,), "the connection goes on")
        connection.execute("SET subscribe_wait = '30s'")
        with connection.transaction():
            connection.execute("DECLARE c CURSOR FOR SUBSCRIBE TO v")
            got = connection.execute("FETCH ALL FROM c").fetchall()
            expect_equal(sorted(row[3] for row in got if row[1] == "upsert"), ["a", "b", "c"], "the snapshot")
            expect(got[-1][1] == "progress" and got[-1][0], f"the position: {got[-1]}")
            position = got[-1][0]
            server.post("s", [{"k": "a", "n": 1}])
            expect_equal(connection.execute("FETCH ALL FROM c").fetchall()[0][3:], ("a", 2), "a change")
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY (SUBSCRIBE TO v WITH (position = '{position}')) TO STDOUT") as copy:
                row = next(row for row in copy.rows() if row[1] != "progress")
                expect_equal(row[1:], ("upsert", '["a"]', "a", "2"), "what came since")
                connection.cancel()
                try:
                    for _ in copy.rows():
                        pass
                except psycopg.errors.QueryCanceled:
                    pass


def test_sessions_and_live_rows_over_http(test):
    """A session keeps its settings and transaction, runs one statement at a time, and is its client's; rows stream."""
    server = test.server().start()
    server.sql("CREATE STREAM s (k VARCHAR, n BIGINT)")
    server.sql("CREATE MATERIALIZED VIEW v AS SELECT k, sum(n) AS total FROM s GROUP BY k")
    http = Connection(server.port)
    opened = http.request("POST", "/v1/sessions")
    expect_equal(opened.status, 201, "opening")
    name = opened.json()["session"]

    def ask(sql, connection=http):
        return connection.request("POST", f"/v1/sessions/{name}/sql", json.dumps({"sql": sql}).encode(),
                                  {"Content-Type": "application/json"})

    ask("SET statement_timeout = '17s'").ok()
    expect("17" in str(ask("SHOW statement_timeout").ok()["rows"]), "a setting")
    expect_equal(ask("BEGIN").ok()["transaction"], "open", "the transaction")
    expect_equal(ask("SELECT nothing").status, 400, "an error")
    expect_equal(ask("ROLLBACK").ok()["transaction"], "none", "after ROLLBACK")
    expect_equal(ask("INSERT INTO s VALUES ('a', 1), ('b', 2)").ok()["affected"], 2, "affected rows")
    expect_equal(http.request("POST", "/v1/sessions/0/sql", b'{"sql": "SELECT 1"}',
                              {"Content-Type": "application/json"}).status, 404, "another name")

    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as live:
        body = json.dumps({"sql": "SUBSCRIBE TO SELECT total, k FROM v WHERE total > 1"}).encode()
        live.sendall(f"POST /v1/sessions/{name}/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        text = b""
        while b"progress" not in text:
            text += live.recv(65536)
        expect(b"application/x-ndjson" in text and b'"_op":"upsert","_key":"[\\"b\\"]","total":2,"k":"b"}' in text,
               f"the rows: {text}")
        expect_equal(ask("SELECT 1").status, 409, "a second statement")
        server.post("s", [{"k": "a", "n": 4}])
        while b'"total":5,"k":"a"' not in text:
            text += live.recv(65536)
        expect_equal(http.request("POST", f"/v1/sessions/{name}/cancel").status, 200, "cancelling")
        while b'"_op":"end"' not in text or not text.endswith(b"0\r\n\r\n"):
            text += live.recv(65536)
        expect(b"MR1307" in text, f"the end: {text[-400:]}")
    expect_equal(ask("SELECT 1 AS one").ok()["rows"], [[1]], "afterwards")
    expect_equal(http.request("DELETE", f"/v1/sessions/{name}").status, 200, "closing")
    expect_equal(ask("SELECT 1").status, 404, "when it is closed")
    http.close()
