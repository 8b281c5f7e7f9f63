"""Operations: each changes one thing on a PC, reads it back, and changes nothing the second time.

They follow pyinfra's conventions: a dry run (``--dry --diff``) shows what would change and sends nothing that changes
a PC. A failure on one host does not affect the others.
"""
