-- \d+ long_flights
SELECT a.attname,
  pg_catalog.format_type(a.atttypid, a.atttypmod),
  (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true)
   FROM pg_catalog.pg_attrdef d
   WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef),
  a.attnotnull,
  (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t
   WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation,
  a.attidentity,
  a.attgenerated,
  a.attstorage,
  pg_catalog.col_description(a.attrelid, a.attnum)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = '{long_flights}' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;
--> ["date", "timestamp without time zone", null, false, null, "", "", "p", null]
--> ["delay", "bigint", null, false, null, "", "", "p", null]
--> ["destination", "text", null, false, null, "", "", "x", null]
--> ["distance", "bigint", null, false, null, "", "", "p", null]
--> ["origin", "text", null, false, null, "", "", "x", null]
