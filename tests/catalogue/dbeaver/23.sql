-- dbeaver
SELECT * FROM pg_catalog.pg_enum WHERE 1=1
