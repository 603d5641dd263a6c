"""The store: everything that syncd remembers, in one SQLite file."""
