-- dbeaver
SELECT version()
