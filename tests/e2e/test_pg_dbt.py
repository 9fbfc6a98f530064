"""dbt-postgres: the project of examples/dbt by the commands of its page, and a project without any macro of ours."""
import json
import os
import re
import shutil
import subprocess
import urllib.parse

from harness import NDJSON, ROOT, clip, expect, expect_equal

DBT = ROOT / "build/python/bin/dbt"
PAGE = ROOT / "docs/how-to/dbt.md"


def dbt(server, folder, *words, code=0):
    """The output of a command of dbt."""
    expect(DBT.exists(), f"there is no {DBT}: run ./dev setup")
    port = urllib.parse.urlsplit(server.postgres_url).port
    done = subprocess.run([str(DBT), *words], cwd=folder, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "MILLRACE_PORT": str(port), "DBT_PROFILES_DIR": str(folder), "DO_NOT_TRACK": "1",
                               "DBT_USE_COLORS": "false", "LC_ALL": "C.UTF-8"})
    expect_equal(done.returncode, code, f"dbt {' '.join(words)}: exit code\n{clip(done.stdout + done.stderr, 4000)}\n")
    return done.stdout


def rows_of(server, text):
    """On a connection of its own: dbt takes longer than an idle one is kept."""
    return server.connect().sql(text).ok()["rows"]


def post(server, body):
    answer = server.connect().request("POST", "/v1/streams/flights/events", body, {"Content-Type": NDJSON}).ok()
    expect_equal(answer["rejected"], [], "events")


def project(test):
    """A server with the stream and the events of the example, and a copy of it."""
    folder = test.folder / "dbt"
    shutil.copytree(ROOT / "examples/dbt", folder)
    server = test.server(args=[str(folder / "pipeline.sql")]).start()
    post(server, (folder / "flights.jsonl").read_bytes())
    return server, folder


def test_dbt_runs_the_example(test):
    """debug, seed, run, test, docs generate; a changed model is replaced without a gap; a failing test is told."""
    server, folder = project(test)
    commands = re.findall(r"^dbt (.+)$", PAGE.read_text(), re.MULTILINE)
    expect_equal([words.split()[0] for words in commands], ["debug", "seed", "run", "test", "docs"], "the commands of the page")
    for words in commands:
        dbt(server, folder, *words.split())
    rows = rows_of(server, "SELECT * FROM delays_by_origin ORDER BY origin")
    expect_equal(rows, [["JFK", 1, 0.0, 0], ["LAX", 2, 27.5, 40], ["SEA", 1, -3.0, -3]], "the materialized view")
    expect_equal(rows_of(server, "SELECT * FROM worst_airports"), [["LAX", "Los Angeles", 27.5]], "the view")
    catalog = json.loads((folder / "target/catalog.json").read_text())
    nodes = {node["metadata"]["name"]: node for node in {**catalog["nodes"], **catalog["sources"]}.values()}
    expect_equal(nodes["delays_by_origin"]["metadata"]["type"], "MATERIALIZED VIEW", "what dbt's page says of it")
    expect_equal(list(nodes["flights"]["columns"]), ["date", "origin", "destination", "delay", "distance"], "the columns")
    for words in ("seed", "run"):
        dbt(server, folder, words)
    model = folder / "models/delays_by_origin.sql"
    model.write_text(model.read_text().replace("max(delay) AS worst", "max(delay) AS worst, min(delay) AS best"))
    dbt(server, folder, "run")
    post(server, json.dumps({"date": "2001-01-03T00:00:00Z", "origin": "LAX", "destination": "SEA", "delay": 100, "distance": 954}).encode())
    rows = rows_of(server, "SELECT flights, worst, best FROM delays_by_origin WHERE origin = 'LAX'")
    expect_equal(rows, [[3, 100, 15]], "the model with another SELECT")
    post(server, json.dumps({"date": "2001-01-03T00:00:00Z", "destination": "SEA", "delay": 100, "distance": 954}).encode())
    told = dbt(server, folder, "test", code=1)
    expect("not_null_delays_by_origin_origin" in told and "ERROR=1" in told, clip(told))


def test_dbt_postgres_by_itself_makes_materialized_views(test):
    """Without the macros of the example: made at the first run, refreshed at the next, told apart from what is refused."""
    server, folder = project(test)
    shutil.rmtree(folder / "macros")
    (folder / "models/worst_airports.sql").unlink()
    page = folder / "models/flights.yml"
    page.write_text(page.read_text()[:page.read_text().index("  - name: worst_airports")])
    for words in (["seed"], ["run"], ["run"], ["test"]):
        dbt(server, folder, *words)
    expect_equal(rows_of(server, "SELECT flights FROM delays_by_origin WHERE origin = 'LAX'"), [[2]], "the view")
    (folder / "models/delays_by_day.sql").write_text(
        "{{ config(materialized='incremental') }}\nSELECT date_trunc('day', date) AS day, count(*) AS n "
        "FROM {{ source('pipeline', 'flights') }} GROUP BY ALL\n")
    dbt(server, folder, "run", "--select", "delays_by_day")
    told = dbt(server, folder, "run", "--select", "delays_by_day", code=1)
    expect("CREATE TEMPORARY" in told.upper(), clip(told))
