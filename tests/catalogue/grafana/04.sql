-- grafana
SELECT quote_ident(column_name) AS "column", data_type AS "type"
  FROM information_schema.columns
  WHERE table_schema IN (
  SELECT
    CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
  FROM
    generate_series(
      array_lower(string_to_array(current_setting('search_path'),','),1),
      array_upper(string_to_array(current_setting('search_path'),','),1)
    ) as i,
    string_to_array(current_setting('search_path'),',') s
)
  AND quote_ident(table_name) = 'flights'
--> ["date", "timestamp without time zone"]
--> ["delay", "bigint"]
--> ["destination", "text"]
--> ["distance", "bigint"]
--> ["origin", "text"]
