-- drivers
SELECT relname FROM pg_catalog.pg_class WHERE relname OPERATOR(pg_catalog.~*) '^FLIGHTS$'
--> ["flights"]
