-- dbeaver
SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE 1=1 AND datallowconn AND NOT datistemplate OR db.datname = 'millrace'
--> [5, 5, "millrace", 10, 6, "c", false, true, -1, 0, 0, 1663, "C", "C", null, null, null]
