"""Where the edges and the engine meet."""
