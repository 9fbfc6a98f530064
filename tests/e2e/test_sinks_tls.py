"""Sinks and tables of another database over TLS: with the right authority all is as without, with another nothing is
written and nothing read, and no way without TLS is taken instead."""
import pathlib

from harness import expect, expect_equal
from pg_clients import driver
from stores import Postgres, Redis, running, wait_for
from test_sinks import BY_KEY, STREAM, redis_rows, refused, rows_of_view, sink, wait_up_to_date
from test_tls import Authority

EVENTS = [{"k": n % 7, "x": n} for n in range(50)]


class Authorities:
    """Ours, and one that signed nothing that is in use; ours has signed for this machine, and for another."""

    def __init__(self, test):
        self.ours = Authority(test.folder / "certificates", "ours")
        self.other = Authority(test.folder / "certificates", "other")
        self.ours.issue("here", "here")
        self.ours.issue("elsewhere", "elsewhere", "DNS:elsewhere.example")

    def certificate(self, name):
        return self.ours.folder / f"{name}.crt", self.ours.folder / f"{name}.key"


def start(test):
    server = test.server().start()
    for statement in (STREAM, BY_KEY):
        server.sql(statement)
    server.post("e", EVENTS)
    return server


def create(server, name, url, **options):
    given = ", ".join(f"{key} = '{value}'" for key, value in options.items())
    server.sql(f"CREATE SINK {name} INTO '{url}' {f'WITH ({given})' if given else ''} AS SELECT k, n, s FROM by_key")


def error_of(server, name, *words):
    """The error of a sink that gets nowhere; it is the same in SHOW SINKS and in millrace.sinks."""
    wait_for(f"an error of sink {name}", lambda: sink(server, name)["error"])
    shown = sink(server, name)
    expect(shown["state"] in ("waiting", "stopped"), shown)
    for word in words:
        expect(word in shown["error"], f"{name}: {shown['error']}")
    told, = server.sql_rows(f"SELECT error FROM millrace.sinks WHERE name = '{name}'")
    expect_equal(told, [shown["error"]], "the error in the system view")
    expect_equal((int(shown["rows"]), int(shown["commits"])), (0, 0), f"what {name} wrote")
    return shown


def test_a_table_of_postgresql_is_kept_over_tls(test):
    """verify-full with the right authority; another authority, another host, no TLS: refused, and no table is made."""
    known = Authorities(test)
    folder = known.ours.folder
    # Whoever comes without TLS is let in, too: not to take that way is up to Millrace.
    with running(Postgres(driver("psycopg"), certificate=known.certificate("here"))) as store, \
            running(Postgres(driver("psycopg"), certificate=known.certificate("elsewhere"))) as elsewhere, \
            running(Postgres(driver("psycopg"))) as plain:
        server = start(test)
        create(server, "good", store.url("good"), tls="verify-full", ca_file=known.ours.path)
        create(server, "named", store.url("named").replace("127.0.0.1", "localhost"), tls="verify-full",
               ca_file=known.ours.path)
        create(server, "chain", elsewhere.url("chain"), tls="verify-ca", ca_file=known.ours.path)
        for name, there in (("good", store), ("named", store), ("chain", elsewhere)):
            wait_up_to_date(server, name)
            expect_equal(sorted(there.rows(f"SELECT k, n, s::bigint FROM {name}")), rows_of_view(server, "by_key", "k, n, s"),
                         f"the table {name}")
        tls = store.rows("SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                         "WHERE application_name = 'millrace'")
        expect(len(tls) == 2 and all(on and version in ("TLSv1.2", "TLSv1.3") for on, version in tls), tls)

        create(server, "other", store.url("other"), tls="verify-full", ca_file=known.other.path)
        create(server, "given", store.url("given"), ca_file=known.other.path)
        create(server, "wrong_host", elsewhere.url("wrong_host"), tls="verify-full", ca_file=known.ours.path)
        create(server, "no_file", store.url("no_file"), tls="verify-full", ca_file=str(folder / "none.crt"))
        create(server, "no_tls", plain.url("no_tls"), tls="require")
        error_of(server, "other", "certificate verify failed")
        error_of(server, "given", "certificate verify failed")
        error_of(server, "wrong_host", "elsewhere.example", "127.0.0.1")
        error_of(server, "no_file", "none.crt", "does not exist")
        error_of(server, "no_tls", "does not support SSL")
        for there, tables in ((store, ("other", "given", "no_file")), (elsewhere, ("wrong_host",)), (plain, ("no_tls",))):
            for name in tables:
                expect_equal(there.rows(f"SELECT to_regclass('{name}')"), [(None,)], f"the table {name}")

        store.run("CREATE TABLE device (k bigint, place text); INSERT INTO device VALUES (1, 'Oslo')")
        given = f"CREATE TABLE device FROM '{store.url('device')}' WITH (%s)"
        for options in (f"tls = 'verify-full', ca_file = '{known.other.path}'", f"ca_file = '{known.other.path}'"):
            got, text = refused(server, given % options)
            expect(got == "MR1404" and "certificate verify failed" in text, text)
        server.sql(given % f"tls = 'verify-full', ca_file = '{known.ours.path}'")
        expect_equal(server.sql_rows("SELECT * FROM device"), [[1, "Oslo"]], "the table that was read")

        # The file is put right: no statement is needed. Then PostgreSQL goes and comes.
        pathlib.Path(known.other.path).write_text(pathlib.Path(known.ours.path).read_text())
        wait_up_to_date(server, "other")
        store.kill()
        server.post("e", EVENTS)
        store.start()
        for name in ("good", "other"):
            wait_up_to_date(server, name)
            expect_equal(sorted(store.rows(f"SELECT k, n, s::bigint FROM {name}")), rows_of_view(server, "by_key", "k, n, s"),
                         f"the table {name} at the end")


def test_keys_of_redis_are_kept_over_tls(test):
    """rediss:// with the right authority; another authority, that of the system, another host: refused, no key is written."""
    known = Authorities(test)
    with running(Redis(test.folder, "top secret", certificate=(*known.certificate("here"), known.ours.path))) as store, \
            running(Redis(test.folder)) as plain:
        server = start(test)
        secret = {"password": "top secret"}
        create(server, "good", store.url("good"), ca_file=known.ours.path, **secret)
        create(server, "named", store.url("named").replace("127.0.0.1", "localhost"), ca_file=known.ours.path, **secret)
        for name in ("good", "named"):
            wait_up_to_date(server, name)
            expect_equal(redis_rows(store, name, ("k", "n", "s")), rows_of_view(server, "by_key", "k, n, s"), f"the keys {name}")

        create(server, "other", store.url("other"), ca_file=known.other.path, **secret)
        create(server, "system", store.url("system"), **secret)
        create(server, "no_file", store.url("no_file"), ca_file=str(known.ours.folder / "none.crt"), **secret)
        create(server, "no_tls", plain.url("no_tls").replace("redis:", "rediss:"), ca_file=known.ours.path)
        error_of(server, "other", "the certificate of 127.0.0.1 does not hold")
        error_of(server, "system", "the certificate of 127.0.0.1 does not hold")
        error_of(server, "no_file", "none.crt")
        error_of(server, "no_tls")
        got, text = refused(server, f"CREATE SINK plain INTO '{plain.url('plain')}' WITH (ca_file = '{known.ours.path}') "
                            "AS SELECT k, n FROM by_key")
        expect(got == "MR1005" and "rediss://" in text, text)

        def prefixes(there):
            with there.connect() as redis:
                return sorted({key.split(":")[0] for key in redis("KEYS", "*")})
        expect_equal((prefixes(store), prefixes(plain)), (["good", "named"], []), "what is in the stores")

        # What its certificate names is looked at as well.
        store.kill()
        store.listen = [word.replace("/here.", "/elsewhere.") for word in store.listen]
        store.process = None
        certificate = store.authority
        store.authority = None  # not to ask whether it is up by a name that it does not have
        store.wait_until_up = lambda: store
        store.start()
        wait_for("a stop", lambda: sink(server, "good")["state"] == "stopped")
        error = sink(server, "good")["error"]
        expect("does not hold" in error and "mismatch" in error, error)
        store.kill()
        del store.wait_until_up
        store.authority = certificate
        store.listen = [word.replace("/elsewhere.", "/here.") for word in store.listen]
        store.start()
        server.post("e", EVENTS)
        for name in ("good", "named"):
            server.sql(f"RESUME SINK {name}")
            wait_up_to_date(server, name)
            expect_equal(redis_rows(store, name, ("k", "n", "s")), rows_of_view(server, "by_key", "k, n, s"),
                         f"the keys {name} at the end")
        expect("top secret" not in server.stderr(), "a password is in the log")
