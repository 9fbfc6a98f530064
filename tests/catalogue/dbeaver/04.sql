-- dbeaver
SELECT reset_val FROM pg_settings WHERE name='search_path'
--> ["\"$user\", public"]
