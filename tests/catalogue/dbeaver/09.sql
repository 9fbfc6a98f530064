-- dbeaver
SELECT c.oid,c.*,t.relname as tabrelname,rt.relnamespace as refnamespace,d.description, case when c.contype='c' then "substring"(pg_get_constraintdef(c.oid), 7) else null end consrc_copy
FROM pg_catalog.pg_constraint c
INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid
LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid=c.confrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_constraint'::regclass
WHERE t.oid={airports}
ORDER BY c.oid
--> [16398, 16398, "airports_pkey", 2200, "p", false, false, true, 16394, 0, 16396, 0, 0, " ", " ", " ", true, 0, true, [1], null, null, null, null, null, null, null, "airports", null, null, null]
