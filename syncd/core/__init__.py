"""Value types that cross from one row to another."""
