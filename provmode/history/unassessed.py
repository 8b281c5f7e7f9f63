"""The hosts that could not be assessed when they were looked at last."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.engine import Connection

from provmode.errors import UsageError
from provmode.history.names import name_of, storable
from provmode.history.run import LOOKS
from provmode.history.tables import HOST, RUN, SPAN, STATE


class Unassessed:
    """The hosts whose latest look did not assess them, each with its cause, whatever run it was.

    Raises:
        UsageError: no run of the history has looked at the *inventory*.
    """

    def __init__(self, connection: Connection, inventory: str) -> None:
        looked = select(RUN.c.id).where(RUN.c.inventory == storable(inventory), RUN.c.kind.in_(LOOKS)).limit(1)
        if connection.execute(looked).first() is None:
            raise UsageError(
                f"the history has no look at {inventory}", next_step="audit all of it once, without --only"
            )
        away = (
            select(HOST.c.name, STATE.c.cause)
            .join(SPAN, SPAN.c.host_id == HOST.c.id)
            .join(STATE, SPAN.c.state_id == STATE.c.id)
            .where(SPAN.c.assessed.is_(False), SPAN.c.until.is_(None))
        )
        self._causes = {row.name: str(row.cause or "") for row in connection.execute(away)}

    def cause(self, host: str) -> str | None:
        """Return why a host could not be assessed at the latest look; ``None``: it was, or nobody looked."""
        return self._causes.get(name_of(host))
