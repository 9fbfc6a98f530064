CREATE STREAM flights (date TIMESTAMP, origin VARCHAR, destination VARCHAR, delay BIGINT, distance BIGINT)
  WITH (time = date, key = origin);
