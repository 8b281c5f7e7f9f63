"""What pyinfra would silently ignore in an inventory file: our keys as variables at its top, hosts outside of a list.

Only groups count in an inventory file; data stands beside a group's hosts, or in ``group_data/``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from provmode.connector.host_data import KEYS, OTHER_KEYS, nearest_key
from provmode.errors import UsageError


def refuse_ignored(path: Path) -> None:
    """Refuse an inventory file with a variable that looks like data of its hosts, and that nothing in the file uses.

    Raises:
        UsageError: names the line and the place where the value counts.
    """
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError, RecursionError):
        return  # reading the file says so
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for name, value, line in _assigned(tree):
        if name.startswith(("winrm_", "provmode_")) and name not in used:
            known = name in KEYS or name in OTHER_KEYS
            raise UsageError(
                f"{path.name}, line {line}: {name} at the top of an inventory counts for no host",
                next_step=f"write it as data of a group: pcs = ([...], {{'{name}': ...}}), or in group_data/all.py"
                if known
                else nearest_key(name),
            )
        if not name.startswith("_") and name not in used and _is_host(value):
            raise UsageError(
                f"{path.name}, line {line}: {name} is no list, and its hosts would be ignored",
                next_step=f"write {name} = [...]",
            )


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None, int]]:
    """Yield the variables that are assigned at the top: name, value and line."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, statement.value, statement.lineno


def _is_host(value: ast.expr | None) -> bool:
    """Return whether *value* is one host, or a set or dictionary of hosts, instead of a list of them."""
    if isinstance(value, (ast.Set, ast.Dict)):
        elements = value.elts if isinstance(value, ast.Set) else [key for key in value.keys if key is not None]
        return bool(elements) and all(_is_host(element) for element in elements)
    return isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value.startswith("@winrm/")
