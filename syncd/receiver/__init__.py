"""What Planfix and the lists push to us, over HTTP."""
