-- dbeaver
SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass
 ORDER BY nspname
--> [11, 11, "pg_catalog", 10, null, null]
--> [13000, 13000, "information_schema", 10, null, null]
--> [13001, 13001, "millrace", 10, null, null]
--> [2200, 2200, "public", 10, null, null]
