"""``python -m provmode.lab.server.worker``: one process of a lab in several. `provmode.lab.server.processes` starts it.

The first line of its input is its share of the lab; then it speaks the control protocol until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from provmode.lab.fleet import compose
from provmode.lab.server.build import build_fleet
from provmode.lab.server.control import Control, serve_control
from provmode.lab.server.hosting import Lab, LabKeys
from provmode.lab.server.run import settle, until_stopped


async def _serve(job: dict[str, Any]) -> None:
    """Run the share of the lab that *job* describes."""
    fleet = compose(job["hosts"], job["seed"], job["mix"], job["packages"])
    members = fleet[job["number"] :: job["processes"]]
    now = datetime.fromisoformat(job["now"]) + timedelta(seconds=time.monotonic() - job["at"])
    specs = build_fleet(
        members,
        https=job["https"],
        client_certificates=job["client_certificates"],
        keytabs={name: Path(path) for name, path in job["keytabs"].items()},
        own_addresses=job["own_addresses"],
        now=now,
    )
    keys = LabKeys(**job["keys"])
    async with Lab(specs, basic=job["basic"], dns_domain=job["dns_domain"], keys=keys) as lab:
        settle()
        await until_stopped(serve_control(lab, Control(lab).carry_out), ignore_interrupt=True)


def main() -> int:
    """Run until the input ends; an error is one line on standard error and exit code 1."""
    line = sys.stdin.buffer.readline()
    if not line:
        return 0  # whoever started it has ended already
    try:
        asyncio.run(_serve(json.loads(line)))
    except (ValueError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
