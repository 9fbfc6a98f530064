// The views of the parity kit: each kind of state, each shape of a query.
#pragma once

#include <array>
#include <string_view>

namespace millrace::parity {

struct ParityView {
  std::string_view name;
  std::string_view select;
};

inline constexpr std::array kViews = {
    ParityView{"totals",
               "SELECT count(*) AS n, count(d) AS nd, sum(i) AS si, sum(h) AS sh, sum(d) AS sd, "
               "avg(d) AS ad, sum(p) AS sp, sum(w) AS sw, min(o) AS mo, max(u) AS mu FROM e"},
    ParityView{"by_key",
               "SELECT k, count(*) AS n, sum(d) AS s, avg(f) AS a, min(d) AS lo, max(d) AS hi, "
               "sum(p) FILTER (WHERE b) AS p, max(x) AS x, min(y) AS y FROM e GROUP BY k"},
    ParityView{"by_many_keys",
               "SELECT g, count(*) AS n, sum(i) AS s, sum(d) AS d FROM e GROUP BY g"},
    ParityView{"by_hour",
               "SELECT date_trunc('hour', t) AS hour, k, u, count(*) AS n, avg(p) AS p, "
               "min(z) AS first, max(z) AS last FROM e WHERE f > 10 GROUP BY hour, k, u"},
    ParityView{"moments",
               "SELECT k, var_pop(d) AS v, stddev_samp(d) AS s, skewness(f) AS w, kurtosis(f) AS "
               "q, covar_pop(d, f) AS c, corr(f, p) AS r, regr_slope(d, f) AS m, regr_r2(d, f) AS "
               "r2 FROM e WHERE isfinite(d) AND abs(d) < 1e100 GROUP BY k"},
    ParityView{"bits",
               "SELECT y, bit_and(i) AS a, bit_or(i) AS o, bit_xor(i) AS x, bool_and(b) AS ba, "
               "bool_or(b) AS bo, count_if(b) AS c FROM e GROUP BY y"},
    ParityView{"first_and_last",
               "SELECT k, first(x) AS f, last(x) AS l, arg_min(x, d) AS a, arg_max(u, t) AS b, "
               "any_value(i) AS v, min(i, 3) AS lo, max(d, 5) AS hi FROM e GROUP BY k"},
    ParityView{"distinct",
               "SELECT k, count(DISTINCT x) AS n, sum(DISTINCT g) AS s, approx_count_distinct(g) "
               "AS a FROM e GROUP BY k"},
    ParityView{"quantiles",
               "SELECT y, median(i) AS m, quantile_cont(f, 0.9) AS c, quantile_disc(p, 0.25) AS q, "
               "mode(x) AS o, approx_quantile(f, 0.99) AS a FROM e GROUP BY y"},
    ParityView{"lists",
               "SELECT g % 100 AS g, list(x ORDER BY d DESC, i) AS l, string_agg(k, ',' ORDER BY "
               "x) AS s, histogram(b) AS h, top_k(x, 3) AS t, map_agg(x, f) AS m FROM e GROUP BY "
               "g % 100"},
    ParityView{"rollup", "SELECT k, y, count(*) AS n, sum(p) AS p FROM e GROUP BY ROLLUP (k, y)"},
    ParityView{"sessions",
               "SELECT u, session(t, INTERVAL 2 SECOND) AS s, count(*) AS n, max(d) AS d FROM e "
               "GROUP BY u, s"},
    ParityView{"hopping",
               "SELECT hop(t, INTERVAL 10 MINUTE, INTERVAL 30 MINUTE) AS start, count(*) AS n, "
               "sum(f) AS f FROM e GROUP BY start"},
    ParityView{"failing_rows",
               "SELECT k, sum(CAST(x AS BIGINT)) AS s, count(*) AS n FROM e GROUP BY k"},
    ParityView{"having",
               "SELECT k, sum(f) / count(*) AS m, concat(upper(k), '!') AS u FROM e GROUP BY k "
               "HAVING count(*) > 3 AND sum(f) > 10"},
    ParityView{"union_all",
               "SELECT k, count(*) AS n, sum(v) AS s FROM (SELECT k, d AS v FROM e WHERE b UNION "
               "ALL SELECT x, f FROM e) AS r GROUP BY k"},
    ParityView{
        "hidden_columns",
        "SELECT _partition AS part, min(_offset) AS a, max(_offset) AS b, max(_arrival) AS z "
        "FROM e GROUP BY part"},
};

}  // namespace millrace::parity
