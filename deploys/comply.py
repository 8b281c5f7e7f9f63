"""Bring clients into compliance, each according to its verdict: ``pyinfra INVENTORY deploys/comply.py --dry --diff``.

An `in-progress` client is never touched. A `self-healing` client is left alone unless the policy says not to wait. For
any other client that needs a change, files that would bring the mode back are disarmed first. If the client is in the
mode, the next steps set the service's start mode and start it, leave the mode by the client's own method, and request
policy. For each host that is left alone, the log says why.

If the configuration file of provmode names a file of waivers, windows, blackouts or a gate, nothing is changed on any
host: they are heeded by ``provmode plan`` and ``provmode apply`` alone.

With ``--data provmode_mend_agent=true`` a task sequence agent (smstsmgr) that depends on CcmExec is made to depend on
Winmgmt instead, before the mode is left. It is off unless asked for.
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone

from pyinfra import host, state
from pyinfra.api import DeployError, deploy, operation
from pyinfra.context import ctx_state

from facts.client import ClientState, ExitImpact
from operations import client, service
from operations.step import Commands, isolated, one_lease
from provmode.ccm.client import AGENT
from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy, PolicyError
from provmode.ccm.verdict import Outcome, Verdict, outcome
from provmode.connector.not_heeded import not_heeded
from provmode.reading import known
from provmode.remediation.decide import LEFT_ALONE

logger = logging.getLogger("pyinfra")


@operation()
@isolated
def at_rest() -> Commands:
    """
    Fail on a PC on which a task sequence, an upgrade or Windows Setup runs, so that nothing more is done there.

    Changes nothing, so there is nothing to be undone. One of them may have started since pyinfra's prompt.
    """
    client.refuse_if_at_work()
    host.noop("nothing runs that must not be disturbed")
    yield from ()


@deploy("Leave provisioning mode")
def comply() -> None:
    """
    Bring this host into compliance, as the module describes, by the inventory's ``provmode_policy``.

    Raises:
        DeployError: the configuration file says something that is not heeded here, such as which PCs are held.
    """
    unheeded = not_heeded()
    if unheeded:
        raise DeployError(unheeded)
    client_state = host.get_fact(ClientState)
    try:
        policy = Policy.from_mapping(host.data.get("provmode_policy", {}), where=f"data of {host.name}")
    except PolicyError as error:
        host.log(f"left alone: {error}", logger.error)
        return
    mend = host.data.get("provmode_mend_agent", False)
    if not isinstance(mend, bool):
        host.log(f"left alone: provmode_mend_agent is {mend!r}, neither true nor false", logger.error)
        return
    assessment = judge(client_state, policy, datetime.now(timezone.utc))
    if outcome(assessment.verdict) is not Outcome.PENDING:
        host.log(f"left alone: {assessment.verdict.value}: {assessment.reason} ({LEFT_ALONE[assessment.verdict]})")
        return
    host.log(f"{assessment.verdict.value}: {assessment.reason}")
    with one_lease():
        _operations(assessment.verdict, client_state, policy, mend_agent=mend)


def _operations(verdict: Verdict, client_state: ClientReadings, policy: Policy, *, mend_agent: bool) -> None:
    at_rest(name="Look again that nothing runs there")
    if policy.check_tcf:
        client.tcf_disarmed(name="Keep MobileClient.TCF from bringing the mode back")
    if verdict is Verdict.ARMED:
        return
    impact = known(host.get_fact(ExitImpact), None)
    effect = impact.words if impact is not None else "the effects could not be determined"
    if effect:
        host.log(f"leaving the mode: {effect}", logger.warning)
    ccmexec = known(client_state.service, None)
    if ccmexec is not None and not (ccmexec.running and not ccmexec.disabled):
        service.service(name="Let the client run", service="CcmExec", start_mode="Auto", running=True)
    if mend_agent and "ccmexec" in (name.lower() for name in known(client_state.agent_dependencies, ())):
        service.dependencies(name="Let the mode be left", service=AGENT, depends_on=["Winmgmt"])
    client.provisioning_mode(name="Leave provisioning mode by the client's own method", enabled=False)
    client.policy_requested(name="Ask for machine policy")


if ctx_state.isset() and getattr(state, "current_exec_filename", None) == __file__:
    comply()
