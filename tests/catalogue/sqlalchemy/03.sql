-- sqlalchemy
select current_schema()
--> ["public"]
