-- drivers
SELECT pg_is_in_recovery(), pg_backend_pid() IS NOT NULL AS has_pid
--> [false, true]
