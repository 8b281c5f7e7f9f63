"""Claims, one per file: what is measured, the target, and whether it is met."""
