-- dbeaver
SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid
FROM pg_catalog.pg_attribute a
INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid)
LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum)
LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid
WHERE NOT a.attisdropped AND c.relkind not in ('i','I','c') AND c.oid={flights}
ORDER BY a.attnum
--> ["flights", 16392, "date", 1114, -1, 8, 1, 0, -1, -1, false, "i", "p", "", false, false, false, "", "", false, true, 0, 0, null, null, null, null, null, "event time", null]
--> ["flights", 16392, "delay", 20, -1, 8, 4, 0, -1, -1, false, "i", "p", "", false, false, false, "", "", false, true, 0, 0, null, null, null, null, null, null, null]
--> ["flights", 16392, "destination", 25, -1, -1, 3, 0, -1, -1, false, "i", "x", "", false, false, false, "", "", false, true, 0, 100, null, null, null, null, null, null, null]
--> ["flights", 16392, "distance", 20, -1, 8, 5, 0, -1, -1, false, "i", "p", "", false, false, false, "", "", false, true, 0, 0, null, null, null, null, null, null, null]
--> ["flights", 16392, "origin", 25, -1, -1, 2, 0, -1, -1, false, "i", "x", "", false, false, false, "", "", false, true, 0, 100, null, null, null, null, null, "key", null]
