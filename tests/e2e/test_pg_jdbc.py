"""JDBC: PgClient.java on PostgreSQL's driver 42.5."""
from harness import expect
from pg_clients import jdbc, start
from test_tls import Authority


def run(server, *checks, **more):
    shown = jdbc(server.postgres_url, *checks, **more)
    expect(shown.split() == list(checks), f"what ran: {shown}")


def test_jdbc_tells_what_there_is(test):
    """Every question of DatabaseMetaData that tools ask, and what a statement will give before it runs."""
    run(start(test), "metadata")


def test_jdbc_gets_types_back_right(test):
    """Parameters and results of each type, in text and in binary, of statements prepared here and on the server."""
    run(start(test), "values", "lookups", "errors")


def test_jdbc_writes_and_reads_by_the_piece(test):
    """Fetch sizes, batches, transactions with savepoints, COPY, and the end of statements that take too long."""
    run(start(test), "cursors", "inserts", "transactions", "copy", "cancel")


def test_jdbc_logs_in_over_tls(test):
    """A password by SCRAM over TLS with the certificate checked; a wrong one is told."""
    authority = Authority(test.folder / "certificates")
    authority.issue("server", "first")
    folder = authority.folder
    server = start(test, config={"tls": {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key")},
                                 "postgres": {"tls": "required"}},
                   args=["--https-port", "0", "--mqtts-port", "0"])
    server.sql("CREATE USER ana WITH PASSWORD 'right'")
    base = server.postgres_url.replace("127.0.0.1", "localhost") + f"?user=ana&sslmode=verify-full&sslrootcert={authority.path}"
    jdbc(base + "&password=right", "login")
    try:
        jdbc(base + "&password=wrong", "login")
    except AssertionError as error:
        expect("the secret is wrong" in str(error), str(error))
    else:
        expect(False, "a wrong password was let in")
