-- dbeaver
SELECT current_schema(),session_user
--> ["public", "millrace"]
