"""
The shape of the code, held by reading it: who imports whom, what the pure part may not touch, how long functions are.

Layers, each of which imports only from those to its left (ARCHITECTURE.md has the picture):

    schemas <- worker.pacing <- worker.intake <- worker.ledger <- the running worker <- worker.app <- cli, demo
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]

# package or module: what of this project it may import. The longest name that fits a module decides.
MAY_IMPORT: Final = {
    "schemas": ("schemas",),
    "worker.compiled": (),
    "worker.pacing": ("schemas", "worker.compiled", "worker.pacing"),
    "worker.intake": ("schemas", "worker.pacing"),
    "worker.ledger": ("schemas", "worker.compiled", "worker.pacing", "worker.intake", "worker.ledger"),
    # A second opinion on the ledger is one only as long as it asks the ledger nothing.
    "worker.audit.recount": ("schemas",),
    "worker.outlook.published": ("schemas",),
    "worker.outlook.windows": ("schemas", "worker.pacing", "worker.outlook.published"),
    "worker.outlook.comparison": ("schemas", "worker.pacing", "worker.outlook.published", "worker.outlook.windows"),
    "worker.outlook.forecast": ("schemas", "worker.pacing", "worker.outlook.published", "worker.outlook.windows"),
    "worker.metrics": (),
    "worker.exits": (),
}

# module: the only ones that may import it.
ONLY_IMPORTED_BY: Final = {
    "worker.cli": (),
    "worker.app": ("worker.cli", "worker.demo"),
    "worker.demo": ("worker.cli", "worker.demo"),
}

PURE: Final = (
    *("worker.pacing", "worker.intake", "worker.ledger", "worker.audit.recount"),
    *("worker.outlook.published", "worker.outlook.windows", "worker.outlook.comparison", "worker.outlook.forecast"),
)

# No network, no files, no clock, no chance, and nothing that is slow to import.
NOT_IN_PURE: Final = frozenset(
    "aiohttp aiokafka asyncio asyncpg confluent_kafka faust io logging mode os pathlib prometheus_client"
    " pydantic random secrets socket structlog subprocess threading time typer".split()
)
# The calendar is arithmetic and allowed; asking it for the present is not.
ASKS_THE_CLOCK: Final = frozenset({"now", "utcnow", "today", "uuid1", "uuid4", "perf_counter", "monotonic", "time_ns"})

# Read by every message: pydantic, which explains what was refused, is imported when something was.
NO_PYDANTIC_AT_IMPORT: Final = ("schemas", "schemas.fields", "schemas.wire")

NINE_IN_TEN_UNDER_LINES: Final = 28
HALF_AT_MOST_LINES: Final = 5
NONE_ABOVE_LINES: Final = 50


class Module(NamedTuple):
    """A parsed module of the product."""

    name: str
    path: Path
    tree: ast.Module


class Import(NamedTuple):
    """One name that a module imports, and whether it does so when it is itself imported."""

    target: str
    line: int
    at_once: bool


class Function(NamedTuple):
    """A function and its lines of code: no docstring, no comments, no blank lines."""

    name: str
    lines: int


@cache
def modules() -> dict[str, Module]:
    """Every module of the product by its dotted name."""
    found = {}
    for package in ("schemas", "worker"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    return found


def imports(module: Module) -> Iterator[Import]:
    """What *module* imports at run time; imports for types alone are left out."""
    skipped = {id(inner) for node in ast.walk(module.tree) if is_for_types(node) for inner in ast.walk(node)}
    at_once = {id(node) for node in walk_outside_functions(module.tree)}
    for node in ast.walk(module.tree):
        if id(node) not in skipped:
            for target in targets(node):
                yield Import(target, getattr(node, "lineno", 0), id(node) in at_once)


def targets(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement names; `from worker import topics` names worker.topics."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        for alias in node.names:
            deeper = f"{node.module}.{alias.name}"
            yield deeper if deeper in modules() else node.module


def is_for_types(node: ast.AST) -> bool:
    """Whether *node* is the block `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def walk_outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """What is carried out when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from walk_outside_functions(child)


def is_within(name: str, package: str) -> bool:
    """Whether a module is *package* or inside it."""
    return name == package or name.startswith(f"{package}.")


def is_ours(name: str) -> bool:
    """Whether a module is of this project."""
    return is_within(name, "schemas") or is_within(name, "worker")


def rule_for(name: str) -> tuple[str, ...] | None:
    """What *name* may import of this project; None where there is no rule."""
    fitting = [package for package in MAY_IMPORT if is_within(name, package)]
    return MAY_IMPORT[max(fitting, key=len)] if fitting else None


def pure_modules() -> list[Module]:
    """The modules without a clock, a network or a file."""
    return [module for name, module in modules().items() if any(is_within(name, package) for package in PURE)]


def functions() -> Iterator[Function]:
    """Every function and method of the product, nested ones by themselves as well."""
    for module in modules().values():
        code = code_lines(module)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = code_body(node)
                lines = sum(1 for line in range(body[0].lineno, (body[-1].end_lineno or 0) + 1) if line in code)
                yield Function(f"{module.name}.{node.name}", lines)


def code_body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """The body without its docstring, unless that is all there is."""
    return node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body


def code_lines(module: Module) -> set[int]:
    """The numbers of the lines that are neither blank nor only a comment."""
    text = module.path.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(text, 1) if line.strip() and not line.strip().startswith("#")}


def test_dependencies_point_one_way() -> None:
    wrong = [
        f"{module.path.relative_to(ROOT)}:{each.line}: {name} imports {each.target}"
        for name, module in modules().items()
        if (allowed := rule_for(name)) is not None
        for each in imports(module)
        if is_ours(each.target) and not any(is_within(each.target, package) for package in allowed)
    ]
    assert not wrong, "\n".join(wrong)


def test_what_wires_the_parts_is_imported_by_no_part() -> None:
    wrong = [
        f"{module.path.relative_to(ROOT)}:{each.line}: {name} imports {each.target}"
        for name, module in modules().items()
        for each in imports(module)
        for wiring, allowed in ONLY_IMPORTED_BY.items()
        if is_within(each.target, wiring) and not any(is_within(name, package) for package in (wiring, *allowed))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_by_way_of_another() -> None:
    graph = {
        name: {each.target for each in imports(module) if each.at_once and each.target in modules()} - {name}
        for name, module in modules().items()
    }
    while leaves := {name for name, needed in graph.items() if not needed & graph.keys()}:
        graph = {name: needed for name, needed in graph.items() if name not in leaves}
    assert not graph, f"import cycles among {sorted(graph)}"


@pytest.mark.parametrize("module", pure_modules(), ids=lambda module: module.name)
def test_the_pure_part_touches_no_network_no_file_and_no_clock(module: Module) -> None:
    wrong = [
        f"line {each.line}: imports {each.target}"
        for each in imports(module)
        if each.target.split(".")[0] in NOT_IN_PURE
    ]
    asked = [
        f"line {node.lineno}: asks for the present by {node.func.attr}()"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKS_THE_CLOCK
    ]
    assert not wrong + asked, f"{module.path.relative_to(ROOT)}: {wrong + asked}"


@pytest.mark.parametrize("name", NO_PYDANTIC_AT_IMPORT)
def test_reading_a_message_does_not_import_pydantic(name: str) -> None:
    reached, waiting = set[str](), [name]
    while waiting:
        module = modules()[waiting.pop()]
        for each in imports(module):
            if each.at_once and each.target not in reached:
                reached.add(each.target)
                waiting.extend([each.target] if each.target in modules() else [])
    assert not [target for target in reached if target.split(".")[0] in {"pydantic", "pydantic_settings"}]


def test_functions_stay_small() -> None:
    sizes = sorted(functions(), key=lambda function: function.lines)
    small = sum(1 for function in sizes if function.lines < NINE_IN_TEN_UNDER_LINES)
    assert small >= 0.9 * len(sizes), f"{small} of {len(sizes)} under {NINE_IN_TEN_UNDER_LINES} lines"
    assert median(function.lines for function in sizes) <= HALF_AT_MOST_LINES
    assert {function.name for function in sizes if function.lines > NONE_ABOVE_LINES} == set()


def test_every_exception_is_caught_only_where_a_process_ends() -> None:
    catching = sorted(
        name
        for name, module in modules().items()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    )
    assert catching == ["worker.cli", "worker.exits"]


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether an except clause names no exception, or the one that all are."""
    named = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else set()
    return handler.type is None or bool(named & {"Exception", "BaseException"})
