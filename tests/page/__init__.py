"""The operator's page, in process, on loopback and in a browser."""
