-- drivers
SELECT pg_size_pretty(pg_relation_size('airports')), has_table_privilege('flights', 'SELECT'), has_table_privilege('flights', 'DELETE')
--> ["136 bytes", true, false]
