"""The config file: TOML text → settings, with every problem named by file, line and key."""
