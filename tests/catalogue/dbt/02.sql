-- dbt
select
          'millrace' as database,
          tablename as name,
          schemaname as schema,
          'table' as type
        from pg_tables
        where schemaname ilike 'public'
        union all
        select
          'millrace' as database,
          viewname as name,
          schemaname as schema,
          'view' as type
        from pg_views
        where schemaname ilike 'public'
        union all
        select
          'millrace' as database,
          matviewname as name,
          schemaname as schema,
          'materialized_view' as type
        from pg_matviews
        where schemaname ilike 'public'
--> ["millrace", "airports", "public", "table"]
--> ["millrace", "delays", "public", "materialized_view"]
--> ["millrace", "flights", "public", "table"]
--> ["millrace", "flights__quarantine", "public", "table"]
--> ["millrace", "long_flights", "public", "view"]
