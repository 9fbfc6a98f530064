-- drivers
SELECT 'flights'::regclass::oid, 'public.flights'::regclass::text, {flights}::regclass, to_regclass('nothing'), 'int8'::regtype::oid, 20::regtype
--> [16392, "flights", "flights", null, 20, "bigint"]
