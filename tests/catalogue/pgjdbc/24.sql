-- pgjdbc
select current_schema()
