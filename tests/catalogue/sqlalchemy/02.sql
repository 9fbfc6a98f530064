-- sqlalchemy
select pg_catalog.version()
--> ["PostgreSQL 15.0 (Millrace 0.1.0)"]
