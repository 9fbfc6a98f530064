-- dbeaver
SELECT pg_catalog.pg_get_viewdef({delays}, true) as definition
