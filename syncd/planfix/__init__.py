"""The Planfix side: its XML API as a run and an operator need it."""
