CREATE STREAM temperatures (room VARCHAR, measured TIMESTAMP, celsius DOUBLE)
  WITH (time = measured, key = room, mqtt = 'home/{room}/temperature');

CREATE MATERIALIZED VIEW by_minute AS
  SELECT room, date_trunc('minute', measured) AS minute, avg(celsius) AS mean, min(celsius) AS low, max(celsius) AS high,
         count(*) AS readings
  FROM temperatures GROUP BY room, minute;
