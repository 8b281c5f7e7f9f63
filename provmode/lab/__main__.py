"""``python -m provmode.lab``: a lab fleet as a process of its own (see `provmode.lab.process`)."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from .server.run import LabOptions, parse_mix, serve


def _arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m provmode.lab", description="Run a lab fleet of simulated PCs.")
    parser.add_argument("--hosts", type=int, default=20, help="how many PCs")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same fleet")
    parser.add_argument("--mix", type=parse_mix, help="persona=share,persona=share")
    parser.add_argument("--https", type=float, default=0.0, help="share of the PCs that listen on HTTPS, 0 to 1")
    parser.add_argument("--basic", action="store_true", help="offer Basic authentication as well")
    parser.add_argument("--truth", type=Path, help="write which PC is what")
    parser.add_argument("--inventory", type=Path, help="write a pyinfra inventory")
    parser.add_argument("--control", action="store_true", help="speak JSON lines on standard input and output")
    return parser.parse_args()


def main() -> int:
    """Run the lab; errors of the caller's are one line on standard error and exit code 1."""
    given = _arguments()
    options = LabOptions(
        hosts=given.hosts,
        seed=given.seed,
        mix=given.mix,
        https=given.https,
        basic=given.basic,
        truth=given.truth,
        inventory=given.inventory,
    )
    try:
        return asyncio.run(serve(options, control=given.control))
    except (ValueError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
