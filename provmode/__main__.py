"""``python -m provmode``."""

from provmode.cli.entry import main

main()
