"""Two programs that keep the same items in step from memory, each in a process of its own."""
