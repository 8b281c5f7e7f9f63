"""The faults that `make mutants` puts into the core modules."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parent.parent / ".ci" / "mutants"


@pytest.fixture(scope="module")
def sites() -> ModuleType:
    """The module that finds where a fault can be."""
    spec = importlib.util.spec_from_file_location("mutant_sites", TOOL / "sites.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "kind", "after"),
    [
        ("x = a < b", "compare", ["x = (a <= b)"]),
        ("x = a < b <= c", "compare", ["x = (a <= b <= c)", "x = (a < b < c)"]),
        ("x = a is None", "compare", ["x = (a is not None)"]),
        ("x = 5", "int", ["x = 6"]),
        ("x = True", "bool", ["x = False"]),
        ("x = 'word'", "str", ["x = 'XXword'"]),
        ("x = a and b or c", "andor", ["x = ((a and b) and (c))", "x = ((a) or (b)) or c"]),
        ("x = a and b", "drop-operand", ["x = ((a))", "x = ((b))"]),
        ("x = not a", "un-not", ["x = (a)"]),
        ("if a:\n    f()", "negate-if", ["if (not (a)):\n    f()"]),
        ("if a:\n    f()", "if-false", ["if False:\n    f()"]),
        ("x = 1 if a else 2", "negate-if", ["x = 1 if (not (a)) else 2"]),
        ("raise E from None", "remove-raise", ["pass"]),
        ("f()", "remove-stmt", ["pass"]),
        ("def f():\n    return a", "return-none", ["def f():\n    return None"]),
        ("f(a, b, *c, d=e)", "swap-args", ["f(b, a, *c, d=e)"]),
        ("x = (a, b)", "drop-element", ["x = (a,)", "x = (b,)"]),
        ("x = {a, b}", "drop-element", ["x = {a}", "x = {b}"]),
        ("x = {a: 'ä', **b}", "drop-element", ["x = {**b}", "x = {a: 'ä'}"]),
        ("x = 'ä', a + b", "arith", ["x = 'ä', (a - b)"]),
    ],
)
def test_each_kind_of_fault_is_found_at_its_place(sites: ModuleType, source: str, kind: str, after: list[str]) -> None:
    assert sorted(m.apply(source) for m in sites.mutants(source) if m.kind == kind) == sorted(after)


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "class A:\n    x: int\n    'What x is.'\n    y: str\n    'What y is.'",
        'x = None\n"""What x is."""',
        "x: dict[str, 'T']",
        "T = TypeVar('T')",
        "T = Literal['a', 'b']",
        "from a import b",
        "f'{a} and b'",
        "def f(x: int): pass",
    ],
)
def test_what_no_test_can_notice_is_left_alone(sites: ModuleType, source: str) -> None:
    assert sites.mutants(source) == []


def test_a_fault_is_noticed_by_the_tests_of_its_statement_or_of_the_head_of_its_block(sites: ModuleType) -> None:
    source = "def f(a=1):\n    if (a\n        or 2):\n        return 3\n    return (\n        4)\n"
    lines = {m.before: (m.lines, m.at_import) for m in sites.mutants(source) if m.kind == "int"}
    assert lines == {"1": ((1, 1), True), "2": ((2, 3), False), "3": ((4, 4), False), "4": ((5, 6), False)}


def test_a_fault_of_a_generator_is_noticed_by_the_tests_of_any_of_its_lines(sites: ModuleType) -> None:
    source = "def f(a):\n    b = 1\n    if a:\n        c = yield from g(2)\n    def h():\n        return 3\n"
    lines = {m.before: m.lines for m in sites.mutants(source) if m.kind == "int"}
    assert lines == {"1": (2, 6), "2": (2, 6), "3": (6, 6)}


def test_one_seed_draws_the_same_faults_each_time(sites: ModuleType) -> None:
    source = "\n".join(f"x{number} = {number} if a else b" for number in range(20))
    first, again, other = (sites.sample(source, 10, seed) for seed in ("1", "1", "2"))
    assert first == again != other
    assert len(first) == 10


def test_what_would_not_compile_is_not_drawn(sites: ModuleType) -> None:
    source = "def f(*a):\n    for b in a:\n        f(b, *a)\n"
    for mutant in sites.sample(source, 100, "1"):
        compile(mutant.apply(source), "mutant", "exec")


def test_a_run_says_what_no_test_noticed_and_ends_with_1_if_it_is_too_much() -> None:
    module, tests = "provmode/wsman/notation.py", "tests/ccm/test_version.py"
    command = [sys.executable, str(TOOL), "--sample", "2", "--processes", "1", module, "--tests", tests]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout.count(f"not noticed: {module} L") == 2
    assert "over all" in ran.stdout
    assert "0 of    2" in ran.stdout
