CREATE STREAM flights (date TIMESTAMP, origin VARCHAR, destination VARCHAR, delay BIGINT, distance BIGINT)
  WITH (time = date, key = origin);
CREATE MATERIALIZED VIEW delays_by_hour AS
  SELECT origin, date_trunc('hour', date) AS hour, count(*) AS flights, avg(delay) AS mean_delay, max(delay) AS worst
  FROM flights GROUP BY origin, hour;
