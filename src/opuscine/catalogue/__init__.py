"""What films and series exist: the JSON sources compiled into one SQLite file, looked up, searched and replaced while in use."""
