"""Rows of a view by many keys at once."""
import csv
import io
import json

from harness import JSON, clip, expect, expect_equal, position_sum

SALES = "CREATE STREAM sales (shop VARCHAR, day DATE, amount BIGINT)"
BY_DAY = ("CREATE MATERIALIZED VIEW by_day AS SELECT shop, day, count(*) AS sales, sum(amount) AS total "
          "FROM sales GROUP BY shop, day")


def ask(server, view, keys, query="", body=None):
    return server.request("POST", f"/v1/views/{view}/lookup{query}", body or json.dumps(keys).encode(), {"Content-Type": JSON})


def filled(test):
    server = test.server().start()
    server.sql(SALES)
    server.sql(BY_DAY)
    server.post("sales", [{"shop": shop, "day": f"2026-03-0{day}", "amount": day} for shop in ("a", "b") for day in (1, 2, 3)])
    server.run_batch()
    server.post("sales", [{"shop": "a", "day": "2026-03-02", "amount": 40}, {"shop": None, "day": "2026-03-02", "amount": 7}])
    return server


def test_rows_come_in_the_order_of_the_keys_with_a_mark_for_missing_ones(test):
    server = filled(test)
    keys = [["b", "2026-03-03"], {"day": "2026-03-02", "SHOP": "a"}, ["z", "2026-03-01"], [None, "2026-03-02"],
            ["b", "2026-03-03"]]
    answer = ask(server, "by_day", keys)
    expect_equal(answer.status, 200, clip(answer.text()))
    document = answer.json()
    last = ["b", "2026-03-03", 1, "3"]
    expect_equal([row and [row[0], row[1], row[2], str(row[3])] for row in document["rows"]],
                 [last, ["a", "2026-03-02", 2, "42"], None, [None, "2026-03-02", 1, "7"], last], "the rows")
    expect_equal(position_sum(document["coverage"]["delta_end"]), 8, "what they cover")
    again = ask(server, "by_day", keys[:1], f"?at_least={answer.headers['millrace-position']}")
    expect_equal(again.json()["rows"][0][:3], last[:3], "a read of at least that position")
    single = server.sql_rows("SELECT total FROM by_day WHERE shop = 'a' AND day = '2026-03-02'")
    expect_equal(str(single[0][0]), "42", "the same by SQL")


def test_other_formats_mark_what_is_missing_in_a_column(test):
    server = filled(test)
    answer = ask(server, "by_day", [["z", "2026-03-01"], ["a", "2026-03-01"]], "?format=csv")
    rows = list(csv.reader(io.StringIO(answer.text())))
    expect_equal(rows, [["_found", "shop", "day", "sales", "total"], ["false", "z", "2026-03-01", "", ""],
                        ["true", "a", "2026-03-01", "1", "1"]], "the CSV")


def test_wrong_keys_are_refused_with_their_number(test):
    server = filled(test)
    server.sql("CREATE MATERIALIZED VIEW overall AS SELECT count(*) AS sales FROM sales")
    cases = [("by_day", [["a"]], "key 1 has 1 value"), ("by_day", [["a", "2026-03-01"], {"shop": "a"}], "key 2"),
             ("by_day", [["a", "soon"]], "soon"), ("by_day", [["a", {}]], "single value"), ("by_day", [[5, "2026-03-01"]], "text"),
             ("by_day", [{"shop": "a", "date": "2026-03-01"}], "no column date"), ("by_day", ["a"], "neither"),
             ("by_day", [["a", "2026-03-01"]] * 1001, "1000 are the most"), ("overall", [[]], "GROUP BY")]
    for view, keys, part in cases:
        answer = ask(server, view, keys)
        expect_equal(answer.status, 400, clip(keys))
        expect(part in answer.text(), f"{clip(keys)}: {clip(answer.text())}")
    expect_equal(ask(server, "by_day", None, body=b"{").status, 400, "a body that is not JSON")
    expect_equal(ask(server, "nothing", [["a"]]).status, 404, "a view that is not there")
    expect_equal(ask(server, "by_day", []).json()["rows"], [], "no keys")
