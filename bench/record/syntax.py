"""What Python code names, binds and may change, read from its syntax; and its text without comments and layout."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

TEXT = "'"  # in the place of an attribute: the name is a text, which need not name anything
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)
SILENT = ("ctx", "type_comment", "kind", "type_ignores")

# What reaches names that no text shows: names of functions, attributes and keywords, and methods that classes define.
_REACHING = frozenset(["globals", "locals", "vars", "eval", "exec", "compile", "__import__", "import_module"])
_REACHING_ATTRIBUTES = frozenset(
    ["import_module", "__subclasses__", "__globals__", "getsource", "getmembers", "getmodule"]
)


def is_dynamic(tree: ast.AST) -> bool:
    """Whether code may reach what it does not name."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in _REACHING:
                return True
            case ast.Attribute(attr=name) if name in _REACHING_ATTRIBUTES:
                return True
            case ast.Attribute(value=ast.Name(id="sys"), attr="modules") | ast.keyword(arg="metaclass"):
                return True
            case ast.FunctionDef(name="__init_subclass__") | ast.alias(name="*"):
                return True
            case ast.ImportFrom(module="sys" | "builtins"):
                return True
    return False


def names(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """Every name, with the attribute that is asked of it ("" for none). A text may be one too, as of a type."""
    asked = {id(node.value): node.attr for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id, asked.get(id(node), "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value, TEXT


def inner(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Names that the inside of a statement binds: parameters, variables, its own functions."""
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                yield name
            case ast.alias(name=name, asname=other):
                yield other or name.partition(".")[0]
            case ast.MatchMapping(rest=str(name)):
                yield name
            case _ if isinstance(own := getattr(node, "name", None), str):  # def, class, except, match, type parameter
                yield own


def bound(node: ast.AST) -> Iterator[str]:
    """Names that a statement at the top of a file binds there."""
    if isinstance(node, DEFINITIONS):
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif not isinstance(node, COMPREHENSIONS):
        for child in ast.iter_child_nodes(node):
            yield from bound(child)


def changed(node: ast.AST) -> Iterator[str]:
    """The name whose object a node may change: `name.a = 1`, `del name[0]`, `name.a.append(1)`, `setattr(name)`."""
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        yield from _root(node)
    elif isinstance(node, ast.Global):
        yield from node.names
    elif isinstance(node, ast.Call) and last(node.func) in ("setattr", "delattr", "__setattr__"):
        yield from (name for argument in node.args[:1] for name in _root(argument))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        yield from _root(node.func)


def _root(node: ast.AST) -> Iterator[str]:
    """`a` of `a.b[c]`."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def last(node: ast.expr) -> str:
    """`c` of `a.b.c`, `c[x]` and `c(x)`."""
    while isinstance(node, ast.Subscript | ast.Call):
        node = node.value if isinstance(node, ast.Subscript) else node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Tuple) and all(map(is_name, node.elts)))


def at_once(node: ast.AST | None) -> Iterator[ast.AST]:
    """The nodes of an expression that are computed with it; what a lambda holds is computed later."""
    if node is not None and not isinstance(node, ast.Lambda):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from at_once(child)


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree itself, changed."""
    for node in ast.walk(tree):
        if isinstance(node, (*DEFINITIONS, ast.Module)) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return tree


def canonical(node: Any) -> str:
    """The syntax without places and layout; the same in every version of Python, which `ast.dump` is not."""
    if isinstance(node, ast.AST):
        kept = (
            (name, value) for name, value in ast.iter_fields(node) if name not in SILENT and value not in (None, [])
        )
        return f"{type(node).__name__}({','.join(f'{name}={canonical(value)}' for name, value in kept)})"
    if isinstance(node, list):
        return f"[{','.join(map(canonical, node))}]"
    return repr(node)
