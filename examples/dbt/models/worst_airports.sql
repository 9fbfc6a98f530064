{{ config(materialized='view') }}
SELECT d.origin, a.name, d.mean_delay
FROM {{ ref('delays_by_origin') }} AS d
JOIN {{ ref('airports') }} AS a ON a.code = d.origin
WHERE d.mean_delay > 5
