-- \d+ delays
SELECT pg_catalog.pg_get_viewdef('{delays}'::pg_catalog.oid, true);
--> ["SELECT origin, count(*) AS flights, avg(delay) AS mean_delay FROM flights GROUP BY origin"]
