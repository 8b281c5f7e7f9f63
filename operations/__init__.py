"""Operations: what changes one thing on a PC. None yet: this release looks and changes nothing."""
