-- drivers
SELECT current_user, session_user, current_catalog, current_schema, current_database()
--> ["millrace", "millrace", "millrace", "public", "millrace"]
