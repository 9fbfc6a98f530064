-- dbeaver
SELECT pg_catalog.pg_get_viewdef({delays}, true) as definition
--> ["SELECT origin, count(*) AS flights, avg(delay) AS mean_delay FROM flights GROUP BY origin"]
