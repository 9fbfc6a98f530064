-- dbeaver
SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr,  pg_catalog.pg_get_partkeydef(c.oid) as partition_key 
FROM pg_catalog.pg_class c
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass
WHERE c.relnamespace=2200 AND c.relkind not in ('i','I','c')
--> [16392, 16392, "flights", 2200, 0, 0, 10, 2, 16392, 0, 0, 2.0, 0, 0, false, false, "p", "r", 5, 0, false, false, false, false, false, true, "d", false, 0, 0, 0, null, null, null, "stream", null, null]
--> [16393, 16393, "delays", 2200, 0, 0, 10, 2, 16393, 0, 0, 2.0, 0, 0, true, false, "p", "m", 3, 0, false, false, false, false, false, true, "d", false, 0, 0, 0, null, null, null, "materialized view", null, null]
--> [16394, 16394, "airports", 2200, 0, 0, 10, 2, 16394, 0, 0, 0.0, 0, 0, true, false, "p", "r", 3, 0, false, false, false, false, false, true, "d", false, 0, 0, 0, null, null, null, "reference table", null, null]
--> [16400, 16400, "flights__quarantine", 2200, 0, 0, 10, 2, 16400, 0, 0, 0.0, 0, 0, false, false, "p", "r", 10, 0, false, false, false, false, false, true, "d", false, 0, 0, 0, null, null, null, "records that could not become events of a stream", null, null]
--> [16401, 16401, "long_flights", 2200, 0, 0, 10, 0, 16401, 0, 0, 0.0, 0, 0, false, false, "p", "v", 5, 0, true, false, false, false, false, true, "d", false, 0, 0, 0, null, null, null, "view", null, null]
