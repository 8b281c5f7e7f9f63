"""The commands of a package: what Windows runs as SYSTEM when it applies it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from provmode.packages.compiled import Parameter
from provmode.packages.customizations import Raw
from provmode.packages.model import COMMANDS, Command, Step, When

_FILES = ("CommandFile", "CommandFiles", "Dependency", "DependencyPackages")
Mask = Callable[[str], tuple[str, bool]]
"""Returns a text without its secrets, and whether there were any."""
Mark = Callable[[str], bytes]
"""Returns what is the same for the same text, within this process."""


def commands_of(settings: Iterable[Raw], compiled: Sequence[Parameter], mask: Mask, mark: Mark) -> tuple[Command, ...]:
    """Return the commands in their order, those of the source first.

    Of the compiled ones only those that are not in the source: they are what Windows would run.
    """
    groups: dict[tuple[tuple[Step, ...], When | None], list[Raw]] = {}
    for setting in settings:
        if setting.names[0] == COMMANDS and len(setting.steps) > 2:
            groups.setdefault((_of(setting), setting.when), []).append(setting)
    found = [_command(steps, when, parts, mask, mark) for (steps, when), parts in groups.items()]
    strangers = [_stranger(each, mask, mark) for each in not_in_source(settings, compiled)]
    return tuple(replace(each, order=order) for order, each in enumerate([*found, *strangers], 1))


def not_in_source(settings: Iterable[Raw], compiled: Sequence[Parameter]) -> list[Parameter]:
    """Return the compiled command lines that are none of the source."""
    lines = {_simple(each.value) for each in settings if each.names[0] == COMMANDS and each.names[-1] == "CommandLine"}
    found = {
        (each.names[1:2], _simple(each.value)): each
        for each in reversed(compiled)
        if each.is_command_line and _simple(each.value) not in lines
    }
    return list(reversed(found.values()))


def _simple(line: str) -> str:
    return " ".join(line.split())


def _of(setting: Raw) -> tuple[Step, ...]:
    """Return the steps that the parts of one command share: down to its name, or to its context."""
    for count, step in enumerate(setting.steps[:-1], 1):
        if step.name == "CommandConfig" or (step.identity and count > 2 and step.name not in _FILES):
            return setting.steps[:count]
    return setting.steps[:2]


def _command(steps: tuple[Step, ...], when: When | None, parts: list[Raw], mask: Mask, mark: Mark) -> Command:
    values = {part.names[-1]: part.value.strip() for part in reversed(parts)}
    files = [part.value.strip() for part in parts if not {*_FILES}.isdisjoint(part.names) and part.value.strip()]
    line, secret = mask(values.get("CommandLine", ""))
    return Command(
        context=steps[1].name,
        name=steps[-1].identity.partition("=")[2] if len(steps) > 2 else "",
        order=0,
        line=line,
        masked=secret,
        files=tuple(mask(file)[0] for file in files),
        continue_install=values.get("ContinueInstall", ""),
        restart_required=values.get("RestartRequired", ""),
        success_codes=values.get("ReturnCodeSuccess", ""),
        restart_codes=values.get("ReturnCodeRestart", ""),
        when=when,
        mark=mark(values.get("CommandLine", "")),
    )


def _stranger(parameter: Parameter, mask: Mask, mark: Mark) -> Command:
    line, secret = mask(parameter.value.strip())
    context = parameter.names[1] if len(parameter.names) > 2 else ""
    return Command(context, "", 0, line, secret, only_compiled=True, mark=mark(parameter.value.strip()))
