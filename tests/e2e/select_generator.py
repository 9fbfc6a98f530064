"""Random SELECTs whose answers are the same wherever they run: what depends on the order of rows is ordered by a unique
column, and sums of doubles are of multiples of 1/8, which no order rounds."""

# Relations of test_sql_differential.py: column -> kind of expression.
RELATIONS = {
    "facts": {"id": "int", "made": "time", "city": "text", "n": "int", "big": "int", "price": "decimal", "ratio": "eighths",
              "day": "date", "flag": "bool", "word": "text"},
    "places": {"city": "text", "country": "text", "size": "int"},
    "by_city": {"city": "text", "facts": "int", "n": "int", "price": "decimal", "ratio": "double", "first": "time",
                "last": "time", "words": "int"},
    "by_day": {"day": "date", "flag": "bool", "facts": "int", "big": "int", "dearest": "decimal"},
    "cheap": {"id": "int", "city": "text", "price": "decimal"},
}
# A column, or several, that no two rows have alike.
UNIQUE = {"facts": ["id"], "places": ["city"], "by_city": ["city"], "by_day": ["day", "flag"], "cheap": ["id"]}
KINDS = ("int", "decimal", "eighths", "text", "time", "date", "bool", "list")
CITIES = ["Lima", "Oslo", "Rome", "Bern", "Paris, \"FR\"", "São Paulo", "it's", ""]
WORDS = ["alpha", "beta", "Gamma", "δέλτα", "a%b_c", "null", "  blank ", "x" * 40]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Generator:
    def __init__(self, rng):
        self.rng = rng

    def pick(self, *choices):
        return self.rng.choice(choices)

    # --- expressions ---

    def literal(self, kind):
        rng = self.rng
        if rng.random() < 0.06:
            names = {"int": "BIGINT", "decimal": "DECIMAL(12,2)", "eighths": "DOUBLE", "text": "VARCHAR", "time": "TIMESTAMP",
                     "date": "DATE", "bool": "BOOLEAN", "list": "BIGINT[]"}
            return f"CAST(NULL AS {names[kind]})"
        return {"int": lambda: str(rng.randint(-20, 1000)),
                "decimal": lambda: f"CAST('{rng.randint(-9999, 9999) / 100:.2f}' AS DECIMAL(9,2))",
                "eighths": lambda: f"CAST({rng.randint(-80, 80) / 8} AS DOUBLE)",
                "text": lambda: quoted(rng.choice(CITIES + WORDS)),
                "time": lambda: f"TIMESTAMP '2026-0{rng.randint(1, 9)}-1{rng.randint(0, 9)} 0{rng.randint(0, 9)}:30:00'",
                "date": lambda: f"DATE '2026-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}'",
                "bool": lambda: self.pick("TRUE", "FALSE"),
                "list": lambda: f"[{rng.randint(0, 9)}, NULL, {rng.randint(0, 9)}]"}[kind]()

    def expression(self, kind, columns, depth=2):
        """`columns`: text -> kind. An expression of the kind over them."""
        fits = [name for name, of in columns.items() if of == kind]
        if depth == 0 or self.rng.random() < 0.3:
            return self.rng.choice(fits) if fits and self.rng.random() < 0.85 else self.literal(kind)
        if self.rng.random() < 0.12:
            return (f"CASE WHEN {self.condition(columns, depth - 1)} THEN {self.expression(kind, columns, depth - 1)} "
                    f"ELSE {self.expression(kind, columns, depth - 1)} END")
        if self.rng.random() < 0.08:
            return f"coalesce({self.expression(kind, columns, depth - 1)}, {self.literal(kind)})"
        return getattr(self, f"of_{kind}")(lambda other: self.expression(other, columns, depth - 1), columns, depth)

    def of_int(self, part, columns, depth):
        return self.pick(lambda: f"({part('int')} + {part('int')})", lambda: f"({part('int')} - {self.rng.randint(0, 99)})",
                         lambda: f"({part('int')} * {self.rng.randint(-3, 9)})", lambda: f"({part('int')} % {self.rng.randint(2, 9)})",
                         lambda: f"abs({part('int')})", lambda: f"length({part('text')})", lambda: f"({part('int')} // 7)",
                         lambda: f"extract({self.pick('year', 'month', 'hour', 'dow')} FROM {part('time')})",
                         lambda: f"greatest({part('int')}, {part('int')})", lambda: f"CAST({part('bool')} AS INTEGER)",
                         lambda: f"sign({part('int')})", lambda: f"nullif({part('int')}, 3)", lambda: f"len({part('list')})",
                         lambda: f"datediff('day', {part('date')}, {part('date')})", lambda: f"TRY_CAST({part('text')} AS INTEGER)",
                         lambda: f"list_sum({part('list')})", lambda: f"strpos({part('text')}, 'a')")()

    def of_decimal(self, part, columns, depth):
        return self.pick(lambda: f"({part('decimal')} + {part('decimal')})", lambda: f"({part('decimal')} - 1.25)",
                         lambda: f"abs({part('decimal')})", lambda: f"-({part('decimal')})",
                         lambda: f"round({part('decimal')}, 1)", lambda: f"CAST({part('int')} % 1000 AS DECIMAL(12,2))")()

    def of_eighths(self, part, columns, depth):
        return self.pick(lambda: f"({part('eighths')} + {part('eighths')})", lambda: f"({part('eighths')} * 2)",
                         lambda: f"abs({part('eighths')})", lambda: f"floor({part('eighths')})",
                         lambda: f"CAST({part('int')} % 100000 AS DOUBLE)", lambda: f"(({part('int')} % 100000) / 4)")()

    def of_text(self, part, columns, depth):
        return self.pick(lambda: f"upper({part('text')})", lambda: f"lower({part('text')})",
                         lambda: f"({part('text')} || '-' || {part('text')})", lambda: f"substr({part('text')}, 2, 3)",
                         lambda: f"replace({part('text')}, 'a', 'oo')", lambda: f"CAST({part('int')} AS VARCHAR)",
                         lambda: f"left({part('text')}, 2)", lambda: f"reverse({part('text')})", lambda: f"trim({part('text')})",
                         lambda: f"lpad({part('text')}, 6, '*')", lambda: f"strftime({part('time')}, '%Y-%m-%d %H')",
                         lambda: f"regexp_replace({part('text')}, '[aeiou]+', '_', 'g')", lambda: f"CAST({part('decimal')} AS VARCHAR)",
                         lambda: f"concat_ws('/', {part('text')}, {part('text')})", lambda: f"split_part({part('text')}, 'a', 1)",
                         lambda: f"CAST({part('list')} AS VARCHAR)", lambda: f"md5({part('text')})")()

    def of_time(self, part, columns, depth):
        return self.pick(lambda: f"({part('time')} + INTERVAL {self.rng.randint(1, 90)} MINUTES)",
                         lambda: f"date_trunc('{self.pick('hour', 'day', 'month', 'week')}', {part('time')})",
                         lambda: f"CAST({part('date')} AS TIMESTAMP)", lambda: f"time_bucket(INTERVAL 15 MINUTES, {part('time')})")()

    def of_date(self, part, columns, depth):
        return self.pick(lambda: f"CAST({part('time')} AS DATE)", lambda: f"({part('date')} + {self.rng.randint(-9, 99)})",
                         lambda: f"last_day({part('date')})")()

    def of_bool(self, part, columns, depth):
        return self.condition(columns, depth)

    def of_list(self, part, columns, depth):
        return self.pick(lambda: f"[{part('int')}, {part('int')}]", lambda: f"list_sort({part('list')})",
                         lambda: f"list_concat({part('list')}, [{part('int')}])", lambda: f"({part('list')})[1:2]",
                         lambda: f"list_transform({part('list')}, lambda x: x + 1)", lambda: f"range({self.rng.randint(0, 4)})")()

    def condition(self, columns, depth=2):
        kind = self.pick("int", "decimal", "text", "time", "date", "eighths")
        part = lambda of: self.expression(of, columns, max(0, depth - 1))  # noqa: E731
        if depth <= 0:
            return f"{part(kind)} {self.pick('<', '>=', '<>', '=')} {self.literal(kind)}"
        return self.pick(lambda: f"{part(kind)} {self.pick('<', '<=', '>', '>=', '=', '<>')} {part(kind)}",
                         lambda: f"{part(kind)} {self.pick('<', '>')} {self.literal(kind)}",
                         lambda: f"{part(kind)} IS {self.pick('', 'NOT ')}NULL",
                         lambda: f"{part(kind)} IS {self.pick('', 'NOT ')}DISTINCT FROM {part(kind)}",
                         lambda: f"({self.condition(columns, depth - 1)} {self.pick('AND', 'OR')} {self.condition(columns, depth - 1)})",
                         lambda: f"NOT ({self.condition(columns, depth - 1)})",
                         lambda: f"{part('text')} {self.pick('', 'NOT ')}LIKE '{self.pick('%a%', 'L%', '_o%', '%')}'",
                         lambda: f"{part(kind)} IN ({self.literal(kind)}, {self.literal(kind)}, {self.literal(kind)})",
                         lambda: f"{part(kind)} BETWEEN {self.literal(kind)} AND {part(kind)}",
                         lambda: f"list_contains({part('list')}, {part('int')})", lambda: f"starts_with({part('text')}, 'a')",
                         lambda: f"{part('bool')}" if depth < 2 else f"({part('bool')}) IS TRUE")()

    def aggregate(self, columns, unique):
        """An aggregate whose value does not depend on the order of rows."""
        part = lambda of: self.expression(of, columns, 1)  # noqa: E731
        order = ", ".join(unique)
        kind = self.pick("int", "decimal", "text", "time", "date")
        text = self.pick(lambda: "count(*)", lambda: f"count({part(kind)})", lambda: f"count(DISTINCT {part(kind)})",
                         lambda: f"sum({part(self.pick('int', 'decimal', 'eighths'))})", lambda: f"min({part(kind)})",
                         lambda: f"max({part(kind)})", lambda: f"avg({part('eighths')})", lambda: f"bool_or({part('bool')})",
                         lambda: f"bool_and({part('bool')})", lambda: f"median({part('int')})",
                         lambda: f"list({part('int')} ORDER BY {order})", lambda: f"string_agg({part('text')}, ',' ORDER BY {order})",
                         lambda: f"quantile_disc({part('int')}, 0.9)", lambda: f"bit_xor({part('int')})",
                         lambda: f"first({part(kind)} ORDER BY {order})")()
        return f"{text} FILTER (WHERE {self.condition(columns, 1)})" if self.rng.random() < 0.15 else text

    # --- statements ---

    def items(self, columns, count=None):
        return ", ".join(f"{self.expression(self.rng.choice(KINDS), columns)} AS c{i}"
                         for i in range(count or self.rng.randint(1, 4)))

    def source(self):
        """(FROM clause, its columns, those that are unique)."""
        shape = self.rng.random()
        if shape < 0.62:
            name = self.pick("facts", "facts", "by_city", "by_day", "cheap", "places")
            return name, dict(RELATIONS[name]), UNIQUE[name]
        left, right = self.pick(("facts", "places"), ("facts", "by_city"), ("by_city", "places"), ("cheap", "by_city"))
        columns = {f"l.{column}": kind for column, kind in RELATIONS[left].items()}
        kind = self.pick("JOIN", "LEFT JOIN", "SEMI JOIN", "ANTI JOIN")
        if kind in ("JOIN", "LEFT JOIN"):
            columns |= {f"r.{column}": of for column, of in RELATIONS[right].items()}
        more = f" AND {self.condition(columns, 1)}" if kind == "JOIN" and self.rng.random() < 0.3 else ""
        return f"{left} l {kind} {right} r ON l.city = r.city{more}", columns, [f"l.{column}" for column in UNIQUE[left]]

    def where(self, columns):
        return f" WHERE {self.condition(columns)}" if self.rng.random() < 0.7 else ""

    def rows(self):
        relation, columns, _ = self.source()
        return f"SELECT {self.pick('', '', '', 'DISTINCT ')}{self.items(columns)} FROM {relation}{self.where(columns)}"

    def ordered(self):
        relation, columns, unique = self.source()
        order = ", ".join([f"{self.expression(self.pick('int', 'text', 'time', 'decimal'), columns, 1)} {self.pick('', 'DESC')}"] +
                          unique)
        return (f"SELECT {self.items(columns)} FROM {relation}{self.where(columns)} ORDER BY {order} "
                f"LIMIT {self.rng.randint(0, 30)} OFFSET {self.rng.randint(0, 10)}")

    def groups(self):
        relation, columns, unique = self.source()
        keys = [self.expression(self.pick("int", "text", "date", "bool", "time"), columns, 1) for _ in range(self.rng.randint(0, 2))]
        shown = [f"{key} AS k{i}" for i, key in enumerate(keys)]
        shown += [f"{self.aggregate(columns, unique)} AS a{i}" for i in range(self.rng.randint(1, 3))]
        text = f"SELECT {', '.join(shown)} FROM {relation}{self.where(columns)}"
        if keys:
            grouping = ", ".join(f"({key})" for key in keys)
            text += f" GROUP BY {self.pick(grouping, grouping, grouping, f'ROLLUP ({grouping})', f'CUBE ({grouping})')}"
            if self.rng.random() < 0.25:
                text += f" HAVING count(*) > {self.rng.randint(0, 20)}"
        return text

    def windows(self):
        name = self.pick("facts", "cheap", "by_day")
        columns, order = RELATIONS[name], ", ".join(UNIQUE[name])
        over = f"(PARTITION BY {self.expression(self.pick('text', 'bool', 'date'), columns, 1)} ORDER BY {order})"
        frame = over[:-1] + f" ROWS BETWEEN {self.rng.randint(0, 5)} PRECEDING AND CURRENT ROW)"
        kind = self.pick("int", "decimal", "text")
        call = self.pick(lambda: f"row_number() OVER {over}", lambda: f"rank() OVER {over}", lambda: f"ntile(3) OVER {over}",
                         lambda: f"lag({self.expression(kind, columns, 1)}, {self.rng.randint(1, 3)}) OVER {over}",
                         lambda: f"lead({self.expression(kind, columns, 1)}) OVER {over}",
                         lambda: f"sum({self.expression('int', columns, 1)}) OVER {frame}",
                         lambda: f"first_value({self.expression(kind, columns, 1)}) OVER {over}",
                         lambda: f"count(*) OVER {frame}", lambda: f"max({self.expression(kind, columns, 1)}) OVER {frame}")()
        qualify = f" QUALIFY row_number() OVER {over} <= 3" if self.rng.random() < 0.2 else ""
        return f"SELECT {order}, {call} AS w FROM {name}{self.where(columns)}{qualify}"

    def with_parts(self):
        inner = self.groups().replace("SELECT", "SELECT count(*) AS rows_of_it,", 1)
        return (f"WITH g AS ({inner}), r AS ({self.rows()}) SELECT (SELECT count(*) FROM r) AS n, "
                f"(SELECT sum(rows_of_it) FROM g) AS s, (SELECT max(rows_of_it) FROM g) AS m")

    def sets(self):
        def one():
            relation, columns, _ = self.source()
            return (f"SELECT {self.expression('text', columns, 1)} AS c0, {self.expression('int', columns, 1)} AS c1 FROM {relation}"
                    f"{self.where(columns)}")
        return f"{one()} {self.pick('UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT')} {one()}"

    def subqueries(self):
        columns = {f"f.{column}": kind for column, kind in RELATIONS["facts"].items()}
        other = RELATIONS[self.pick("by_city")]
        inner = self.condition({f"b.{column}": kind for column, kind in other.items()}, 1)
        return self.pick(
            lambda: f"SELECT {self.items(columns)} FROM facts f WHERE f.city IN (SELECT b.city FROM by_city b WHERE {inner})",
            lambda: f"SELECT {self.items(columns)} FROM facts f WHERE EXISTS (SELECT 1 FROM by_city b WHERE b.city = f.city AND {inner})",
            lambda: f"SELECT f.id, (SELECT max(b.facts) FROM by_city b WHERE b.city = f.city AND {inner}) AS s FROM facts f"
                    f" WHERE {self.condition(columns, 1)}",
            lambda: f"SELECT c0, count(*) AS n FROM (SELECT {self.items(columns, 1)} FROM facts f) q GROUP BY c0")()

    def by_key(self):
        columns = ", ".join(self.rng.sample(list(RELATIONS["by_city"]), self.rng.randint(1, 4)))
        keys = ", ".join(quoted(self.rng.choice(CITIES)) for _ in range(self.rng.randint(1, 4)))
        return self.pick(f"SELECT {columns} FROM by_city WHERE city = {quoted(self.rng.choice(CITIES))}",
                         f"SELECT {columns} FROM by_city WHERE city IN ({keys})",
                         f"SELECT {columns} FROM by_city WHERE city >= {quoted(self.rng.choice(CITIES))} ORDER BY city LIMIT 3")

    def statement(self):
        return self.pick(self.rows, self.rows, self.ordered, self.groups, self.groups, self.windows, self.with_parts, self.sets,
                         self.subqueries, self.by_key)()
