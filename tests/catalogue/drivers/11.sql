-- drivers
SELECT a.attname FROM pg_attribute a WHERE a.attrelid = 'delays'::regclass AND a.attnum = ANY('{1,3}'::int2[]) ORDER BY attnum
--> ["mean_delay"]
--> ["origin"]
