"""The engine: states in, operations out; no I/O, no clock, no log."""
