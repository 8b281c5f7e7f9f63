"""Measures the cost of provmode on the lab and compares it with other tools: ``make bench``."""
