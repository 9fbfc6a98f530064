-- drivers
SELECT f.origin, public.long_flights.distance FROM public.flights f, public.long_flights WHERE f.origin = 'SFO'
--> ["SFO", 2475]
