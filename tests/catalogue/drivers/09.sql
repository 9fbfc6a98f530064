-- drivers
WITH flights AS (SELECT origin FROM millrace.public.flights) SELECT origin FROM flights ORDER BY origin
--> ["LAX"]
--> ["SFO"]
