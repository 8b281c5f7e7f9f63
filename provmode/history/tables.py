"""The tables of the history.

A *run* looked at hosts, or changed them. If it tried hosts again, each later round that found some has a row of its
own, which is a part of the run's: what was found then is of that time. A *span* is the time in which every look at a
host found the same: it ends with the first look that found something else, and open spans are not touched by a run that
finds the same again. Which hosts a run looked at, and which of them were assessed, are two sets of bits in its row.

To change a table, write a step into ``migrations/versions``; a test compares what the steps make with these tables.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISION = "0001"
"""The step of ``migrations/versions`` that these tables are the result of."""

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

RUN = Table(
    "run",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True, doc="its id in reports and journals"),
    Column("kind", String(16), nullable=False, doc="audit, plan, push, apply or undo"),
    Column("at", BigInteger, nullable=False, unique=True, doc="when it began; microseconds since 1970, UTC"),
    Column("ended", BigInteger, nullable=False),
    Column("inventory", Text, nullable=False),
    Column("complete", Boolean, nullable=False, doc="whether it looked at the whole inventory, to the end"),
    Column("looked", LargeBinary, nullable=False, doc="the hosts that it looked at, as bits"),
    Column("assessed", LargeBinary, nullable=False, doc="those that it could assess"),
    Column("exit_code", SmallInteger),
    Column("by", Text, nullable=False, doc="user and computer"),
    Column("version", String(32), nullable=False, doc="of provmode"),
    Column("plan", String(64), doc="the id of the plan that it made or applied"),
    Column("about", LargeBinary, nullable=False, doc="what else is known of it: limits, settings, notes"),
    Column("part_of", ForeignKey("run.id", ondelete="CASCADE"), doc="a later round: of which run"),
)

COUNT = Table(
    "run_count",
    METADATA,
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("verdict", String(16), primary_key=True),
    Column("hosts", Integer, nullable=False),
)

HOST = Table(
    "host",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True, doc="without case"),
    Column("shown", Text, nullable=False, doc="as the inventory has it"),
)

STATE = Table(
    "state",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", LargeBinary(16), nullable=False, unique=True),
    Column("verdict", String(16), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("cause", String(32)),
    Column("bad", Boolean, nullable=False, doc="whether somebody has to do something"),
    Column("body", LargeBinary, nullable=False, doc="codes of findings, and facts"),
)

WORDS = Table(
    "words",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", LargeBinary(16), nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False, doc="reason, next step, texts of findings"),
)

SPAN = Table(
    "span",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("host_id", ForeignKey("host.id"), nullable=False),
    Column("assessed", Boolean, nullable=False, doc="if not, the time in which it could not be assessed"),
    Column("since", BigInteger, nullable=False, doc="the first look that found it"),
    Column("until", BigInteger, doc="the first look that found something else; NULL while it lasts"),
    Column("state_id", ForeignKey("state.id"), nullable=False),
    Column("words_id", ForeignKey("words.id"), nullable=False),
    Column("away_since", BigInteger, doc="not assessed: since when, whatever the causes were"),
    Column("seen", BigInteger, doc="not assessed: the last look before that assessed it"),
    UniqueConstraint("host_id", "assessed", "since"),
    Index(  # all that a writer asks of the spans that last: else it would look each of them up all over the table
        "ix_span_now",
        "assessed",
        "host_id",
        "state_id",
        "away_since",
        "seen",
        sqlite_where=text("until IS NULL"),
        postgresql_where=text("until IS NULL"),
    ),
    Index(
        "ix_span_open",
        "host_id",
        "assessed",
        unique=True,
        sqlite_where=text("until IS NULL"),
        postgresql_where=text("until IS NULL"),
    ),
)

CHANGE = Table(
    "change",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    Column("host_id", ForeignKey("host.id"), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False, doc="how the host ended"),
    Column("changed", Boolean, nullable=False, doc="whether something was changed on it, or might have been"),
    Column("body", LargeBinary, nullable=False, doc="detail, cause, next step, what was changed"),
)
