"""What programs can import from provmode. It does not change within a version; everything else is private.

Beside these names, `facts` and `operations` (in an installed wheel `provmode.facts` and `provmode.operations`), the
connector ``@winrm``, the command line, and the formats of plan, journal and reports are public. ``docs/reference.md``
lists them all.

A program that reads a pyinfra inventory file has to call ``gevent.monkey.patch_all()`` before it imports anything else,
as pyinfra's own command line does.
"""

from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy, PolicyError
from provmode.ccm.verdict import Assessment, Finding, Verdict
from provmode.clock import utc_now
from provmode.errors import (
    AccessDenied,
    AnswerLost,
    AuthenticationFailed,
    Cause,
    CertificateUntrusted,
    DeadlineExceeded,
    HostError,
    Mistakes,
    OtherComputer,
    ProtocolError,
    ProvmodeError,
    QuotaExceeded,
    ReadOnlyRefused,
    RemoteFault,
    Unreachable,
    UsageError,
)
from provmode.fleet.apply import ApplyResult, apply_plan
from provmode.fleet.apply_host import HostResult
from provmode.fleet.approvals import Approving
from provmode.fleet.audit import Audit, audit_inventory
from provmode.fleet.inventory import Fleet, Groups, HostNames, InventorySource, PyinfraFile
from provmode.fleet.journal import JournalDamaged, JournalState
from provmode.fleet.journal import read as read_journal
from provmode.fleet.looking import HostReport
from provmode.fleet.plan import Planned, plan_inventory
from provmode.fleet.plan_file import Plan, PlannedHost, PlanRefused, key_from
from provmode.fleet.plan_file import load as load_plan
from provmode.fleet.plan_file import sign as sign_plan
from provmode.fleet.plan_file import write as write_plan
from provmode.fleet.progress import Progress
from provmode.fleet.results import EXIT_CODES, HostOutcome
from provmode.fleet.retrying import Retrying
from provmode.fleet.undo import HostUndoResult, UndoResult, undo_run
from provmode.fleet.verify import Verification, verify_journal
from provmode.fleet.visit import GeventRunner, Runner, Visit, hosts_of
from provmode.fleet.waivers_file import read as read_waivers
from provmode.fleet.waves import Limits
from provmode.reading import Absent, Known, Reading, Unknown, known
from provmode.waivers.model import Waivers

__all__ = [
    "EXIT_CODES",
    "Absent",
    "AccessDenied",
    "AnswerLost",
    "ApplyResult",
    "Approving",
    "Assessment",
    "Audit",
    "AuthenticationFailed",
    "Cause",
    "CertificateUntrusted",
    "ClientReadings",
    "DeadlineExceeded",
    "Finding",
    "Fleet",
    "GeventRunner",
    "Groups",
    "HostError",
    "HostNames",
    "HostOutcome",
    "HostReport",
    "HostResult",
    "HostUndoResult",
    "InventorySource",
    "JournalDamaged",
    "JournalState",
    "Known",
    "Limits",
    "Mistakes",
    "OtherComputer",
    "Plan",
    "PlanRefused",
    "Planned",
    "PlannedHost",
    "Policy",
    "PolicyError",
    "Progress",
    "ProtocolError",
    "ProvmodeError",
    "PyinfraFile",
    "QuotaExceeded",
    "ReadOnlyRefused",
    "Reading",
    "RemoteFault",
    "Retrying",
    "Runner",
    "UndoResult",
    "Unknown",
    "Unreachable",
    "UsageError",
    "Verdict",
    "Verification",
    "Visit",
    "Waivers",
    "apply_plan",
    "audit_inventory",
    "hosts_of",
    "judge",
    "key_from",
    "known",
    "load_plan",
    "plan_inventory",
    "read_journal",
    "read_waivers",
    "sign_plan",
    "undo_run",
    "utc_now",
    "verify_journal",
    "write_plan",
]
