-- metabase
SELECT tmp.table_schema, tmp.table_name, trim(both '"' from pg_catalog.pg_get_indexdef(tmp.ci_oid, tmp.pos, false)) AS field_name FROM (SELECT n.nspname AS table_schema, ct.relname AS table_name, ci.oid AS ci_oid, (information_schema._pg_expandarray(i.indkey)).n AS pos FROM pg_catalog.pg_class ct INNER JOIN pg_catalog.pg_namespace n ON ct.relnamespace = n.oid INNER JOIN pg_catalog.pg_index i ON ct.oid = i.indrelid INNER JOIN pg_catalog.pg_class ci ON ci.oid = i.indexrelid WHERE pg_catalog.pg_get_expr(i.indpred, i.indrelid) IS NULL AND n.nspname !~ '^information_schema|catalog_history|pg_') tmp WHERE tmp.pos = 1 ORDER BY 2
--> ["public", "airports", "code"]
--> ["public", "delays", "origin"]
