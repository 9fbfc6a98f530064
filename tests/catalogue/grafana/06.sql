-- grafana
SELECT quote_ident(column_name) AS "column", data_type AS "type"
  FROM information_schema.columns
  WHERE quote_ident(table_schema) = (parse_ident('public.flights'))[1] AND quote_ident(table_name) = (parse_ident('public.flights'))[2]
--> ["date", "timestamp without time zone"]
--> ["delay", "bigint"]
--> ["destination", "text"]
--> ["distance", "bigint"]
--> ["origin", "text"]
