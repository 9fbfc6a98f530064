-- \sv long_flights
SELECT 'long_flights'::pg_catalog.regclass::pg_catalog.oid
--> [16401]
