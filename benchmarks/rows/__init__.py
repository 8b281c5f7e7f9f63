"""One claim of the table a file: what is measured, the target, and whether it is met."""
