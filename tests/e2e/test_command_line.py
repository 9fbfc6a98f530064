"""The command line: tables for people, JSON for programs, exit codes."""
import json
import pathlib

from harness import ROOT, clip, expect, expect_equal, run_command


def test_version_help_and_wrong_usage(test):
    """Exit codes 0 and 2, and every command of docs/reference/cli.md has a help text."""
    code, out, _ = run_command(["--version"])
    expect(code == 0 and out.strip().split()[-1][0].isdigit(), f"--version: {code} {out}")
    code, out, _ = run_command(["--help"])
    expect_equal(code, 0, "--help")
    page = (ROOT / "docs/reference/cli.md").read_text()
    for line in page.splitlines():
        if line.startswith("### `millrace "):
            command = line.split()[2].strip("`")
            expect(command in out, f"--help does not name {command}")
            expect_equal(run_command([command, "--help"])[0], 0, f"{command} --help")
    for args in ([], ["nope"], ["up", "--nope"], ["up", "--http-port", "many"], ["generate", "birds"], ["batch"]):
        code, _, err = run_command(args)
        expect(code == 2 and err, f"{args}: exit code {code}, {clip(err)}")


def test_commands_talk_to_a_server(test):
    """sql, batch run, status; tables and --json; exit codes 1 to 5."""
    server = test.server().start()

    def ask(*args):
        return run_command([*args, "--server", server.url])

    expect_equal(ask("sql", "CREATE STREAM s (at TIMESTAMP, k VARCHAR) WITH (time = at)")[0], 0, "CREATE STREAM")
    expect_equal(ask("sql", "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM s GROUP BY k")[0], 0, "CREATE VIEW")
    server.post("s", [{"at": "2026-01-01 00:00:00", "k": "\u6771"}] * 3)
    code, out, err = ask("sql", "SELECT * FROM v")
    expect(code == 0 and "\u6771" in out and "3" in out, f"the table: {code} {out} {err}")
    code, out, err = ask("sql", "SELECT * FROM v", "--json")
    expect(code == 0 and "\u6771" in json.dumps(json.loads(out), ensure_ascii=False), f"the JSON: {code} {out} {err}")
    for args in (["batch", "run"], ["batch", "run", "--full", "--json"], ["status"], ["status", "--json"]):
        code, out, err = ask(*args)
        expect(code == 0 and out, f"{args}: {code} {out} {err}")
        if "--json" in args:
            json.loads(out)
    expect_equal(ask("sql", "SELECT * FROM nope")[0], 4, "an unknown table")
    expect_equal(ask("sql", "CREATE STREAM s (at TIMESTAMP) WITH (time = at)")[0], 5, "a name that is taken")
    code, _, err = ask("sql", "SELEC 1")
    expect(code == 1 and "error[MR100" in err, f"a syntax error: {code} {err}")
    server.kill()
    code, _, err = ask("status")
    expect(code == 3 and err, f"no server: {code} {err}")


def test_the_generator_gives_the_same_events_for_the_same_seed(test):
    """flights, iot, clicks: valid JSON Lines, deterministic, with bad ones when asked."""
    for kind in ("flights", "iot", "clicks"):
        args = ["generate", kind, "--count", "200", "--seed", "7"]
        code, first, err = run_command(args)
        expect_equal(code, 0, f"{args}: {err}")
        lines = first.splitlines()
        expect_equal(len(lines), 200, f"lines of {kind}")
        for line in lines:
            expect(isinstance(json.loads(line), dict), f"{kind}: {line}")
        expect(run_command(args)[1] == first, f"{kind} differs for the same seed")
        expect(run_command([*args[:-1], "8"])[1] != first, f"{kind} is the same for another seed")
        bad = run_command([*args, "--bad", "0.5"])[1]
        expect(bad != first, f"{kind} has no bad events")


def test_the_program_runs_from_any_folder(test):
    """Data go where --data says, and nothing is written beside it."""
    server = test.server(data="elsewhere/data").start()
    server.sql("CREATE STREAM s (at TIMESTAMP) WITH (time = at)")
    server.stop()
    left = sorted(path.name for path in pathlib.Path(server.files).iterdir() if not path.name.startswith("data-"))
    expect_equal(left, ["data"], "what lies beside the data folder")
