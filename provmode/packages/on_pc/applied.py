"""Which packages were applied, with which results: from the registry of the provisioning engine. Pure.

Sources: what ``mdmdiagnosticstool`` collects, and public scripts that reset the engine; Microsoft does not document the
keys. So a key without the expected values is kept by its name, and nothing is made up.
"""

from __future__ import annotations

from provmode.packages.on_pc.inventory import PROVISIONING, provisioning_registry
from provmode.packages.on_pc.model import AppliedPackage, CategoryResult, CommandResult, PackageResult, package_id
from provmode.packages.on_pc.reg_query import Tree
from provmode.reading import Absent, Known, Reading, Unknown
from provmode.windows.conversation import Conversation, ask
from provmode.windows.registry import Key, failure
from provmode.wsman import Instance, strings

PACKAGE_INFO = Key(PROVISIONING.hive, rf"{PROVISIONING.path}\PackageInfo")
MAX_RESULTS = 500
"""Results of packages, and of commands; a PC has some ten."""
MAX_TEXTS = 256 * 1024
"""Characters of all results together."""
_RESULT_VALUES = frozenset({"lastresult", "numfailures", "failingnodepath", "message", "categories"})


def applied_ids() -> Conversation[Reading[tuple[str, ...]]]:
    """Ask the ids of applied packages: the names of the keys below ``PackageInfo``."""

    def read(answer: Instance) -> Reading[tuple[str, ...]]:
        failed = failure(answer, str(PACKAGE_INFO))
        if failed is not None:
            return failed
        ids = (package_id(name) for name in strings(answer, "sNames")[:MAX_RESULTS])
        return Known(tuple(sorted(filter(None, set(ids)))))

    return (yield from ask(PACKAGE_INFO.invoke("EnumKey"), read, str(PACKAGE_INFO)))


def results_in(registry: Reading[Tree]) -> Reading[tuple[PackageResult, ...]]:
    """Return the results in the registry of the engine; absent if there is no key for them."""
    if not isinstance(registry, Known):
        return registry
    results = registry.value.at("Results")
    if results is None:
        return Absent()
    if len(results.keys) > MAX_RESULTS:
        return Unknown("too-large", f"{PROVISIONING}\\Results has {len(results.keys):,} keys, over {MAX_RESULTS}")
    found = tuple(_result(key) for key in results.keys.values())
    texts = sum(_length(part) for result in found for part in result.categories)
    if texts > MAX_TEXTS:
        return Unknown("too-large", f"{PROVISIONING}\\Results has {texts:,} characters, over {MAX_TEXTS:,}")
    return Known(found)


def _length(part: CategoryResult) -> int:
    return len(part.name) + len(part.message) + len(part.failing_node) + sum(map(len, part.categories))


def _result(key: Tree) -> PackageResult:
    file_name = key.text("PackageFileName")
    id_ = package_id(key.name) or package_id(key.text("PackageId")) or package_id(file_name)
    parts = [("", key), *key.walk()]
    categories = [_category(path, part) for path, part in parts if _RESULT_VALUES & part.values.keys()]
    return PackageResult(key.name, file_name, id_, tuple(categories[:MAX_RESULTS]))


def _category(path: str, key: Tree) -> CategoryResult:
    result = key.number("LastResult")
    return CategoryResult(
        path,
        key.texts("Categories"),
        key.text("Message"),
        result & 0xFFFFFFFF if result is not None else None,
        key.number("NumFailures"),
        key.text("FailingNodePath"),
    )


def commands_in(registry: Reading[Tree]) -> Reading[tuple[CommandResult, ...]]:
    """Return the results of packages' commands; absent if there is no key for them."""
    if not isinstance(registry, Known):
        return registry
    contexts = registry.value.at("CommandResults")
    if contexts is None:
        return Absent()
    found = []
    for context in contexts.keys.values():
        for package in context.keys.values():
            id_ = package_id(package.name) or package.name
            for command, key in package.walk():
                if key.values:
                    found.append(CommandResult(context.name, id_, command, key.number("State")))
    return Known(tuple(found[:MAX_RESULTS]))


def applied(
    results: Reading[tuple[PackageResult, ...]], ids: Reading[tuple[str, ...]]
) -> Reading[tuple[AppliedPackage, ...]]:
    """Return the applied packages by what both say: results of packages, and ids. Unknown if one of both is.

    A result without the name of a package's file is that of another source of settings, and is left out unless its id
    is that of a package.
    """
    for each in (results, ids):
        if not isinstance(each, (Known, Absent)):
            return each
    known_ids = set(ids.value) if isinstance(ids, Known) else set()
    found = [
        AppliedPackage(result.id, result.file_name, result.categories)
        for result in (results.value if isinstance(results, Known) else ())
        if result.id in known_ids or result.file_name
    ]
    found += [AppliedPackage(id_) for id_ in sorted(known_ids - {each.id for each in found})]
    return Known(tuple(found)) if found else Absent()


def applied_packages() -> Conversation[Reading[tuple[AppliedPackage, ...]]]:
    """Ask which packages were applied, with their results."""
    results = results_in((yield from provisioning_registry()))
    return applied(results, (yield from applied_ids()))


def command_results() -> Conversation[Reading[tuple[CommandResult, ...]]]:
    """Ask the results of packages' commands."""
    return commands_in((yield from provisioning_registry()))
