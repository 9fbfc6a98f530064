-- metabase
SELECT current_setting('timezone')
--> ["UTC"]
