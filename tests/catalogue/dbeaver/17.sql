-- dbeaver
SELECT l.oid,l.* FROM pg_catalog.pg_language l ORDER BY l.oid
--> [12, 12, "internal", 10, false, true, 0, 0, 0, null]
--> [14, 14, "sql", 10, false, true, 0, 0, 0, null]
