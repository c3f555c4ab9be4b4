"""A Python file as parts that can be counted alone: one a statement at its top, one a name that it imports.

Nothing is imported. A part that does something when the file is imported, beside binding its names, `runs`: it counts
for everything in the file. What is not known to do nothing does something.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from importlib.util import resolve_name

from bench.record import syntax
from bench.record.syntax import DEFINITIONS, last

# Decorators, bases and calls that leave everything but what they make as it is, by their last name.
DECORATORS = frozenset((
    "dataclass", "cache", "lru_cache", "contextmanager", "asynccontextmanager", "overload", "final",
    "runtime_checkable", "total_ordering", "unique", "wraps", "property", "cached_property", "staticmethod",
    "classmethod", "abstractmethod", "override",
))  # fmt: skip
BASES = frozenset((
    "object", "Protocol", "NamedTuple", "TypedDict", "Generic", "Enum", "IntEnum", "StrEnum", "ABC", "Exception",
    "ValueError", "Module",
))  # fmt: skip
IMMUTABLE = frozenset((
    "frozenset", "str", "int", "float", "bool", "bytes", "range", "len", "abs", "round", "Column", "TypeVar",
    "NewType", "namedtuple", "Path", "dedent", "strip", "lower", "upper", "replace", "join", "format", "timedelta",
    "Decimal", "Fraction",
))  # fmt: skip
PURE = IMMUTABLE | frozenset((
    "tuple", "list", "dict", "set", "sorted", "min", "max", "sum", "defaultdict", "Counter", "deque", "field",
    "getLogger", "partial", "zip", "enumerate", "property",
))  # fmt: skip
TYPES = frozenset((
    "Literal", "Callable", "NDArray", "Mapping", "Sequence", "Iterable", "Iterator", "Annotated", "Union",
    "Optional", "tuple",
))  # fmt: skip
TYPE_ONLY = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
MAIN = ("__name__ == '__main__'",)


@dataclass(frozen=True)
class Import:
    """`from module import name`; without a name the module itself."""

    module: str
    name: str = ""


@dataclass(frozen=True)
class Part:
    """`text` is the same for the same code, whatever its comments and layout."""

    text: str
    binds: frozenset[str]  # names of the file
    names: frozenset[tuple[str, str]] = frozenset()  # `bench.record.syntax.names`
    inner: frozenset[str] = frozenset()  # names that it binds for itself
    changes: frozenset[str] = frozenset()  # names whose objects it may change
    imports: tuple[Import, ...] = ()
    is_import: bool = False
    runs: bool = False


@dataclass(frozen=True)
class Source:
    parts: tuple[Part, ...]
    variables: frozenset[str]  # names of objects that may be changed by whoever has them
    is_dynamic: bool  # it may reach what it does not name

    @cached_property
    def by_name(self) -> dict[str, list[Part]]:
        found: dict[str, list[Part]] = defaultdict(list)
        for part in self.parts:
            for name in part.binds:
                found[name].append(part)
        return dict(found)


@lru_cache(maxsize=256)
def read(code: bytes, package: str, docstrings: bool) -> Source:
    """The parts of a file of this package. With `docstrings` they count: a prompt may be made of one."""
    tree = ast.parse(code)
    reader = _Reader(package, frozenset(node.name for node in tree.body if isinstance(node, DEFINITIONS)))
    tree = tree if docstrings else syntax.without_docstrings(tree)
    parts = [part for statement in tree.body for part in reader.parts(statement)]
    named = {name for part in parts for name, _ in part.names}
    # An import that nothing names is there for what it does.
    parts = [replace(part, runs=True) if part.is_import and not part.binds & named else part for part in parts]
    return Source(tuple(parts), frozenset(reader.variables), syntax.is_dynamic(tree))


def _imports(statement: ast.Import | ast.ImportFrom, package: str) -> Iterator[Import]:
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            yield Import(alias.name)
        else:
            yield Import(resolve_name("." * statement.level + (statement.module or ""), package), alias.name)


@dataclass
class _Reader:
    package: str
    defined: frozenset[str]  # the file's own functions and classes
    harmless: set[str] = field(default_factory=set)  # its classes so far that nothing else happens with
    constants: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)

    def parts(self, statement: ast.stmt) -> Iterator[Part]:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            yield Part(syntax.canonical(statement), frozenset({"__doc__"}))
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from self._aliases(statement)
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) in TYPE_ONLY:
            for one in statement.body:
                yield from self.parts(one)
        elif not (isinstance(statement, ast.If) and ast.unparse(statement.test) in MAIN):
            yield self._part(statement)

    def _aliases(self, statement: ast.Import | ast.ImportFrom) -> Iterator[Part]:
        for alias, found in zip(statement.names, _imports(statement, self.package), strict=True):
            (name,) = syntax.bound(alias)
            text = f"from {found.module} import {found.name} as {name}"
            yield Part(text, frozenset({name}), imports=(found,), is_import=True)

    def _part(self, statement: ast.stmt) -> Part:
        nodes = list(ast.walk(statement))
        by_global = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
        binds = frozenset(syntax.bound(statement)) | by_global
        runs = not self._only_binds(statement)
        if isinstance(statement, ast.ClassDef) and not runs:
            self.harmless.add(statement.name)
        elif not isinstance(statement, DEFINITIONS):
            is_constant = isinstance(statement, ast.Assign | ast.AnnAssign) and self._is_constant(statement.value)
            (self.constants if is_constant else self.variables).update(binds)
        inner = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        return Part(
            syntax.canonical(statement),
            binds,
            frozenset(syntax.names(nodes)),
            frozenset(syntax.inner(nodes)),
            frozenset(name for node in nodes for name in syntax.changed(node)),
            tuple(found for one in inner for found in _imports(one, self.package)),
            runs=runs,
        )

    def _only_binds(self, statement: ast.stmt) -> bool:
        """Whether importing the file does nothing with this statement but to bind its names."""
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                defaults = [*statement.args.defaults, *filter(None, statement.args.kw_defaults)]
                return self._decorated(statement) and all(map(self._is_pure, defaults))
            case ast.ClassDef():
                bases = all(last(base) in BASES | self.harmless for base in statement.bases)
                return (
                    bases and not statement.keywords and self._decorated(statement) and self._all_bind(statement.body)
                )
            case ast.Assign():
                return all(map(syntax.is_name, statement.targets)) and self._is_pure(statement.value)
            case ast.AnnAssign():
                return syntax.is_name(statement.target) and self._is_pure(statement.value)
            case ast.If():
                return self._is_pure(statement.test) and self._all_bind([*statement.body, *statement.orelse])
            case ast.Try():
                handled = [one for handler in statement.handlers for one in handler.body]
                return self._all_bind([*statement.body, *handled, *statement.orelse, *statement.finalbody])
            case ast.Expr():
                return isinstance(statement.value, ast.Constant)
        return isinstance(statement, ast.Pass | ast.Import | ast.ImportFrom) or type(statement).__name__ == "TypeAlias"

    def _all_bind(self, statements: Sequence[ast.stmt]) -> bool:
        return all(map(self._only_binds, statements))

    def _decorated(self, statement: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
        return all(last(one) in DECORATORS - self.defined for one in statement.decorator_list)

    def _is_pure(self, expression: ast.expr | None) -> bool:
        """Whether computing a value changes nothing: it calls nothing, or what is known to change nothing."""
        nodes = list(syntax.at_once(expression))
        calls = [node.func for node in nodes if isinstance(node, ast.Call)]
        known = all(last(one) in PURE - self.defined or ast.unparse(one) == "re.compile" for one in calls)
        return known and not any(isinstance(node, ast.NamedExpr | ast.Await | ast.Yield) for node in nodes)

    def _is_constant(self, node: ast.AST | None) -> bool:
        """Whether nobody can change a value."""
        match node:
            case ast.Constant() | ast.JoinedStr():
                return True
            case ast.Name():
                return node.id in self.constants | self.defined
            case ast.Subscript():
                return last(node.value) in TYPES
            case ast.Call():
                return last(node.func) in IMMUTABLE - self.defined or ast.unparse(node.func) == "re.compile"
            case ast.Tuple() | ast.BinOp() | ast.UnaryOp() | ast.Compare() | ast.IfExp() | ast.Starred():
                return all(self._is_constant(one) for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr))
        return False
