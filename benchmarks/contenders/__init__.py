"""Contenders, one per file: each reads a fleet in its own process and prints one JSON line (`Measured`)."""
