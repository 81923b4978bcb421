"""Files into the staging tables: read, checked by the database, previewed, loaded once."""
