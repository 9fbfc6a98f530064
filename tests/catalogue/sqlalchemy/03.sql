-- sqlalchemy
select current_schema()
