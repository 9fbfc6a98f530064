-- dbeaver
SELECT a.oid,a.* FROM pg_catalog.pg_roles a ORDER BY a.rolname
--> [10, "millrace", true, true, true, false, false, false, -1, "********", null, false, null, 10]
