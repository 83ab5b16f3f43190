"""
`make mutants`: small changes to the core's decisions, each of which some test must notice.

A mutant is the file with one comparison, operator, constant or condition changed. It is given to the tests of the core
in a process of its own, in place of the file; if they all pass, the mutant has survived, and either a test is missing
or the line says nothing. What cannot matter is marked `# no mutant: REASON` on its line.

    python -m tests.mutants                     every mutant of TARGETS
    python -m tests.mutants FILE [LINE]         those of a file, or of one line of it
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.machinery
import multiprocessing
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec  # noqa: F401  imported before the fork, as is pytest: each mutant's process has them at once
import pytest

ROOT: Final = Path(__file__).parents[1]
TARGETS: Final = ("worker/pacing/deviation.py", "worker/pacing/reallocation.py")
TESTS: Final = ("tests/pure/pacing",)
TIMEOUT_SECONDS: Final = 600
UNMUTATED: Final = "# no mutant: "

PASSED: Final = 0
FAILED: Final = 1

COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """A file with one change."""

    path: str
    line: int
    change: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.change}"


def mutants(path: str, line: int | None = None) -> Iterator[Mutant]:
    """Every mutant of a file, or of one line of it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    left_alone = {number for number, code in enumerate(text.splitlines(), 1) if UNMUTATED in code}
    tree = ast.parse(text)
    said = said_only(tree)
    for place, node in enumerate(ast.walk(tree)):
        number = getattr(node, "lineno", 0)
        if number not in left_alone and line in {None, number} and id(node) not in said:
            for variant in variants(node):
                yield mutant(path, tree, place, variant)


def mutant(path: str, tree: ast.Module, place: int, variant: Callable[[ast.AST], ast.AST]) -> Mutant:
    """The mutant whose node at *place* of the walk is changed by *variant*."""
    changed = copy.deepcopy(tree)
    node = list(ast.walk(changed))[place]
    before, line = ast.unparse(node), getattr(node, "lineno", 0)
    replaced = variant(node)
    after = ast.unparse(replaced)
    for parent in ast.walk(changed):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, replaced)
            elif isinstance(value, list) and any(each is node for each in value):
                setattr(parent, name, [replaced if each is node else each for each in value])
    return Mutant(
        path, line, f"{before.splitlines()[0]}  ->  {after.splitlines()[0]}", ast.fix_missing_locations(changed)
    )


def said_only(tree: ast.Module) -> set[int]:
    """The nodes that say something and do nothing: docstrings, messages, types."""
    return {id(inner) for node in ast.walk(tree) for said in words_and_types(node) for inner in ast.walk(said)}


def words_and_types(node: ast.AST) -> Iterator[ast.AST]:
    """What *node* says without doing anything."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    if isinstance(node, ast.JoinedStr):
        yield node
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
        yield node
    yield from (part for name in ("annotation", "returns") if (part := getattr(node, name, None)) is not None)


def variants(node: ast.AST) -> Iterator[Callable[[ast.AST], ast.AST]]:
    """How a node may be changed."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            yield from (compare_by(place, other) for other in COMPARISONS[type(operator)])
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield from (decided(known) for known in (True, False))
    elif isinstance(node, ast.Constant):
        yield from constants(node)
    else:
        yield from operations(node)


def operations(node: ast.AST) -> Iterator[Callable[[ast.AST], ast.AST]]:
    """Another operator, or another function of the same form."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield operate_by(OPERATORS[type(node.op)])
    elif isinstance(node, ast.BoolOp):
        yield join_by(ast.Or if isinstance(node.op, ast.And) else ast.And)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield without_operator
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
        yield call(CALLS[node.func.id])


def constants(node: ast.Constant) -> Iterator[Callable[[ast.AST], ast.AST]]:
    """Another truth, the next number, another word."""
    if isinstance(node.value, bool):
        yield valued(not node.value)
    elif isinstance(node.value, int):
        yield valued(node.value + 1)
    elif isinstance(node.value, str):
        yield valued(f"{node.value}?")


def compare_by(place: int, other: type[ast.cmpop]) -> Callable[[ast.AST], ast.AST]:
    """Another comparison."""

    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Compare)
        operators = [other() if i == place else operator for i, operator in enumerate(node.ops)]
        return ast.copy_location(ast.Compare(node.left, operators, node.comparators), node)

    return change


def operate_by(other: type[ast.operator]) -> Callable[[ast.AST], ast.AST]:
    """Another operator."""

    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.BinOp)
        return ast.copy_location(ast.BinOp(node.left, other(), node.right), node)

    return change


def join_by(other: type[ast.boolop]) -> Callable[[ast.AST], ast.AST]:
    """`or` for `and`, `and` for `or`."""

    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.BoolOp)
        return ast.copy_location(ast.BoolOp(other(), node.values), node)

    return change


def without_operator(node: ast.AST) -> ast.AST:
    """Without `not`, without the minus."""
    assert isinstance(node, ast.UnaryOp)
    return node.operand


def call(name: str) -> Callable[[ast.AST], ast.AST]:
    """Another function."""

    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Call)
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), node.args, node.keywords), node)

    return change


def decided(known: bool) -> Callable[[ast.AST], ast.AST]:
    """A condition that always holds, or never."""

    def change(node: ast.AST) -> ast.AST:
        changed = copy.copy(node)
        assert isinstance(changed, ast.If | ast.IfExp | ast.While)
        changed.test = ast.copy_location(ast.Constant(known), changed.test)
        return changed

    return change


def valued(value: bool | int | str) -> Callable[[ast.AST], ast.AST]:
    """Another constant."""
    return lambda node: ast.copy_location(ast.Constant(value), node)


def run(each: Mutant | None) -> bool:
    """Whether the tests notice a mutant: they fail, or do not end. None: the file as it is."""
    child = multiprocessing.get_context("fork").Process(target=try_out, args=(each,), daemon=True)
    child.start()
    child.join(TIMEOUT_SECONDS)
    if child.is_alive():
        child.kill()
        child.join()
    return child.exitcode != PASSED


def try_out(each: Mutant | None) -> None:
    """In a process of its own: put the mutant in its file's place, run the tests, end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if each is not None:
        replace_source(ROOT / each.path, compile(each.tree, str(ROOT / each.path), "exec"))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:cov", "--hypothesis-profile=mutants"]
    os._exit(PASSED if pytest.main([*options, *TESTS]) == pytest.ExitCode.OK else FAILED)


def replace_source(path: Path, code: types.CodeType) -> None:
    """Let the import of *path* give *code*."""
    get_code = importlib.machinery.SourceFileLoader.get_code

    def or_mutant(loader: Any, name: str) -> types.CodeType | None:
        return code if Path(loader.path) == path else get_code(loader, name)

    vars(importlib.machinery)["SourceFileLoader"].get_code = or_mutant


def main() -> int:
    """Print the mutants that no test noticed; 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=main.__doc__)
    parser.add_argument("file", nargs="?", help="only this file's")
    parser.add_argument("line", nargs="?", type=int, help="only this line's")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    arguments = parser.parse_args()
    every = [
        each for path in ([arguments.file] if arguments.file else TARGETS) for each in mutants(path, arguments.line)
    ]
    if run(None):
        print("the tests fail before anything is changed", file=sys.stderr)
        return FAILED
    began = time.monotonic()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        survivors = [each for each, noticed in zip(every, pool.map(run, every), strict=True) if told(each, noticed)]
    seconds = time.monotonic() - began
    print(f"{len(every)} mutants, {len(survivors)} survived, {seconds:.0f} s")
    return FAILED if survivors or not every else PASSED


def told(each: Mutant, noticed: bool) -> bool:
    """Say that a mutant survived, if it did."""
    if not noticed:
        print(f"survived  {each}", flush=True)
    return not noticed


if __name__ == "__main__":
    sys.exit(main())
