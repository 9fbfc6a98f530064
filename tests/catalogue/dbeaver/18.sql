-- dbeaver
SELECT t.oid,t.*,pg_tablespace_location(t.oid) loc FROM pg_catalog.pg_tablespace t ORDER BY t.oid
--> [1663, 1663, "pg_default", 10, null, null, ""]
