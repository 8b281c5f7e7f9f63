"""Operations: each changes one thing on a PC, reads it back, and changes nothing the second time.

They keep to pyinfra's conventions: a dry run shows what would change (``--dry --diff``), and sends nothing that
changes a PC. One host's failure is that host's alone.
"""
