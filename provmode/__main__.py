"""``python -m provmode``."""

from provmode.entry import main

main()
