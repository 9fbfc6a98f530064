-- pgjdbc
select array['a']::text[], array[1::int8]
--> [["a"], [1]]
