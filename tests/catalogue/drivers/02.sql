-- drivers
SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter
FROM pg_type t
WHERE t.oid = to_regtype('json')
ORDER BY t.oid
--> ["json", 114, 199, "json", ","]
