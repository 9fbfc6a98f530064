"""The pages about PostgreSQL's clients: Grafana's dashboard with its macros expanded as Grafana does, and the programs of
docs/how-to/application-lookups.md as they stand there, but for ports."""
import datetime
import json
import os
import re
import subprocess
import sys

from harness import ROOT, clip, expect, expect_equal
from pg_clients import JDBC_DRIVER, driver, start

HOW_TO = ROOT / "docs/how-to"
GRAFANA = ROOT / "examples/grafana"


def expanded(sql, begin, end, seconds=3600, values=("LAX", "SEA")):
    """As the data source of Grafana writes macros out (its macros.go), without TimescaleDB."""
    instant = {"From": begin, "To": end}
    text = {name: at.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0") + "Z" for name, at in instant.items()}
    group = rf"floor(extract(epoch from \1)/{seconds})*{seconds}"
    for pattern, put in [(r"\$__timeGroupAlias\(([^,()]+),[^)]*\)", group + ' AS "time"'), (r"\$__timeGroup\(([^,()]+),[^)]*\)", group),
                         (r"\$__timeFilter\(([^)]*)\)", rf"\1 BETWEEN '{text['From']}' AND '{text['To']}'"),
                         (r"\$__timeFrom\(\)", f"'{text['From']}'"), (r"\$__timeTo\(\)", f"'{text['To']}'"),
                         (r"\$__unixEpochFilter\(([^)]*)\)", rf"\1 >= {int(begin.timestamp())} AND \1 <= {int(end.timestamp())}"),
                         (r"\$__timeEpoch\(([^)]*)\)", r'extract(epoch from \1) as "time"'), (r"\$__time\(([^)]*)\)", r'\1 AS "time"'),
                         (r"\$origin\b", ",".join(f"'{value}'" for value in values))]:
        sql = re.sub(pattern, put, sql)
    expect("$" not in sql, f"a macro that is not known: {sql}")
    return sql


def test_grafana_dashboard_shows_its_panels(test):
    """Each panel's query gives rows in the form that its kind of panel takes, by simple and by binary extended query."""
    psycopg = driver("psycopg")
    server = test.server(args=[str(GRAFANA / "pipeline.sql")]).start()
    now = datetime.datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=datetime.timezone.utc)
    server.post("flights", [{"date": (now - datetime.timedelta(minutes=37 * i)).isoformat(), "origin": ["LAX", "SEA", "JFK"][i % 3],
                             "destination": "LAX", "delay": i, "distance": 954} for i in range(60)])
    dashboard = json.loads((GRAFANA / "dashboard.json").read_text())
    begin = now - datetime.timedelta(hours=24)
    with psycopg.connect(server.postgres_url, autocommit=True) as db:
        variable, = dashboard["templating"]["list"]
        values = [row[0] for row in db.execute(variable["query"]).fetchall()]
        expect_equal(values, ["JFK", "LAX", "SEA"], "the values of the variable")
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                sql = expanded(target["rawSql"], begin, now, values=values)
                for binary in (False, True):
                    cursor = db.execute(sql, binary=binary)
                    rows, names = cursor.fetchall(), [column.name for column in cursor.description]
                    expect(rows, f"no rows for {panel['title']}: {sql}")
                    if target["format"] == "time_series":
                        expect(isinstance(rows[0][names.index("time")], (datetime.datetime, float)), f"{panel['title']}: {rows[0]}")
                        expect(len({row[0] for row in rows}) > 10, f"{panel['title']}: {len(rows)} rows")
        for sql in ('SELECT $__time(date), delay FROM flights WHERE $__timeFilter(date)', 'SELECT $__timeEpoch(date), delay FROM flights',
                    "SELECT $__timeGroup(date, '1h'), count(*) FROM flights GROUP BY 1",
                    "SELECT count(*) FROM (SELECT extract(epoch FROM date) AS second FROM flights) f WHERE $__unixEpochFilter(second)"):
            expect(db.execute(expanded(sql, begin, now)).fetchall(), sql)
    expect(variable["query"] and "hour AS \"time\"" in (HOW_TO / "grafana.md").read_text(), "the page shows the panel's query")


def test_programs_that_look_rows_up(test):
    """Python, Java, Node and curl, as the page has them."""
    page = (HOW_TO / "application-lookups.md").read_text()
    parts = {language: text for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)}
    server = start(test)
    port = server.postgres_url.rsplit(":", 1)[1].split("/")[0]
    files = {"python": "lookup.py", "java": "Lookup.java", "js": "lookup.cjs"}
    for language, name in files.items():
        (test.folder / name).write_text(parts[language].replace(":5433/", f":{port}/"))
    python = ROOT / "build/python/bin/python"

    def run(*words):
        done = subprocess.run(words, cwd=test.folder, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "NODE_PATH": str(ROOT / "third_party/node_modules")})
        expect_equal((done.returncode, done.stderr), (0, ""), f"{' '.join(map(str, words))}: exit code and errors")
        return done.stdout

    told = run(str(python) if python.exists() else sys.executable, "lookup.py")
    expect_equal(told.splitlines(), ["Lima (2, Decimal('2'))", "Oslo (1, Decimal('1'))", "nowhere None", "[('Lima', 2), ('Oslo', 1)]"], "Python")
    expect_equal(run("java", "-cp", str(JDBC_DRIVER), "Lookup.java").splitlines(), ["Lima 2", "Oslo 1", "nowhere has none"], "Java")
    told = run("node", "lookup.cjs")
    expect("Lima [ { trips: '2', n: '2' } ]" in told and "nowhere []" in told, told)
    answer = json.loads(run("bash", "-c", parts["sh"].replace(":8080/", f":{server.port}/").replace("curl ", "curl -s ")))
    expect_equal(answer["rows"], [["Lima", 2, 2]], clip(answer))
