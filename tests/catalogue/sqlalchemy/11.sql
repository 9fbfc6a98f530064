-- sqlalchemy
SELECT pg_catalog.pg_am.oid, pg_catalog.pg_am.amname 
    FROM pg_catalog.pg_am 
    WHERE pg_catalog.pg_am.amname = 'btree'
--> [403, "btree"]
