-- drivers
SELECT i.indkey, i.indclass AS classes, (i.indkey)[1] AS first, array_agg(i.indexrelid = 0) AS l FROM pg_index i WHERE i.indrelid = 'airports'::regclass GROUP BY ALL
--> ["1", "0", 1, [false]]
