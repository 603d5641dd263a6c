"""Our own server: what Planfix and the list services push to us."""
