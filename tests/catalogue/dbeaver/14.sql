-- dbeaver
SELECT a.oid,a.* FROM pg_catalog.pg_roles a ORDER BY a.rolname
