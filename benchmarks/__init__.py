"""What provmode costs, measured against the lab and against the ways it could be done otherwise: ``make bench``."""
