SELECT origin, count(*) AS flights, avg(delay) AS mean_delay, max(delay) AS worst
FROM {{ source('pipeline', 'flights') }}
GROUP BY origin
