-- grafana
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name
--> ["airports"]
--> ["delays"]
--> ["flights"]
--> ["flights__quarantine"]
--> ["long_flights"]
