-- dbeaver
SELECT current_database()
