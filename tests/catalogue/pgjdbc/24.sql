-- pgjdbc
select current_schema()
--> ["public"]
