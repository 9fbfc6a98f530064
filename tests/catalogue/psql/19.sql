-- \d+ delays
SELECT pg_catalog.pg_get_viewdef('{delays}'::pg_catalog.oid, true);
