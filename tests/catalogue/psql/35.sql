-- \d+ long_flights
SELECT pg_catalog.pg_get_viewdef('{long_flights}'::pg_catalog.oid, true);
--> ["SELECT * FROM flights WHERE distance > 1000"]
