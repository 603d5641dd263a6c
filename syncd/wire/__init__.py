"""Pure codecs: bytes to values and back, one file per protocol."""
