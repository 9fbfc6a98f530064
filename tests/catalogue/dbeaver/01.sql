-- dbeaver
SELECT current_database()
--> ["millrace"]
