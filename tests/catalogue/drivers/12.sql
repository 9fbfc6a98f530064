-- drivers
SELECT tablename FROM pg_tables WHERE schemaname = ANY (current_schemas(false)) ORDER BY 1
--> ["airports"]
--> ["flights"]
--> ["flights__quarantine"]
