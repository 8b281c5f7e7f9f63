"""What people and programs read of a run: a terminal, JSON."""
