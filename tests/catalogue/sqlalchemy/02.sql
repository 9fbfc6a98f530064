-- sqlalchemy
select pg_catalog.version()
