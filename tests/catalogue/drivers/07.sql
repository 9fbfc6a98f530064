-- drivers
SELECT count(*), coalesce(max(relname), ''), 1 + 1, 'a'::text FROM pg_class WHERE relname = 'flights'
--> [1, "flights", 2, "a"]
