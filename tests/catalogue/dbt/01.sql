-- dbt
select distinct nspname from pg_namespace
--> ["information_schema"]
--> ["millrace"]
--> ["pg_catalog"]
--> ["public"]
