-- dbeaver
SELECT c.oid,c.relname,pg_catalog.pg_total_relation_size(c.oid) as total_rel_size,pg_catalog.pg_relation_size(c.oid) as rel_size
FROM pg_class c
WHERE c.relnamespace=2200
--> [16392, "flights", 0, 0]
--> [16393, "delays", 0, 0]
--> [16394, "airports", 136, 136]
--> [16395, "delays_pkey", 0, 0]
--> [16396, "airports_pkey", 0, 0]
--> [16400, "flights__quarantine", 0, 0]
--> [16401, "long_flights", 0, 0]
