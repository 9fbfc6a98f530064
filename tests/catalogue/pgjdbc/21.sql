-- pgjdbc
SELECT n.nspname,c.relname,r.rolname,c.relacl, a.attacl,  a.attname  FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c,  pg_catalog.pg_roles r, pg_catalog.pg_attribute a  WHERE c.relnamespace = n.oid  AND c.relowner = r.oid  AND c.oid = a.attrelid  AND c.relkind = 'r'  AND a.attnum > 0 AND NOT a.attisdropped  AND n.nspname = 'public' AND c.relname = 'airports' AND a.attname LIKE '%' ORDER BY attname
--> ["public", "airports", "millrace", null, null, "code"]
--> ["public", "airports", "millrace", null, null, "name"]
--> ["public", "airports", "millrace", null, null, "runways"]
