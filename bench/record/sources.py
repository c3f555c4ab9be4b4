"""What a component's code is: the part of files that it uses, so that a changed prompt is a changed run.

A file may hold a method and a metric, and a changed metric is no other method. Counted are the component's class and
all that it names, in its own file and in those that it imports; what may change a counted object; and what happens when
such a file is imported. Too much counts rather than too little: of a file with a name that cannot be followed, all of
it does. Comments and layout do not count. Nor do bench itself, installed packages, and text that is read at run time.
"""

from __future__ import annotations

import builtins
import pkgutil
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

from bench.record import parts
from bench.record.parts import Import, Part, Source
from bench.record.syntax import TEXT

SHIPPED = ("methods", "retrievers", "metrics")
MACHINERY = ("bench", "results")
OF_EVERY_MODULE = frozenset({*vars(builtins), "__file__", "__doc__", "__class__", "__path__", "__annotations__"})
ALL, RUNS = "*", ""  # as a name of a file: everything in it; what runs when it is imported


def source_hash(cls: type) -> str:
    """sha256 over the code that a class uses."""
    used = _Used(cls.__module__.partition(".")[0])
    name = cls.__qualname__.partition(".")[0]
    used.follow(cls.__module__, name)
    return used.digest()


class _Used:
    """The parts of files that are found to count, from one class on."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._texts: dict[str, set[str]] = {}  # module -> texts of its counted parts
        self._seen: set[tuple[str, str]] = set()
        self._todo: list[tuple[str, str]] = []

    def digest(self) -> str:
        texts = [f"{module}\0{text}" for module in sorted(self._texts) for text in sorted(self._texts[module])]
        return sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()

    def follow(self, module: str, name: str) -> None:
        self._todo.append((module, name))
        while self._todo:
            one = self._todo.pop()
            if one not in self._seen:
                self._seen.add(one)
                self._one(*one)

    def _one(self, module: str, name: str) -> None:
        source = self._source(module)
        if source is None:
            return
        self._todo += [(module, RUNS), (module.rpartition(".")[0], RUNS)]
        if name == RUNS:
            # Importing a file imports what it imports at its top.
            self._todo += [(found.module, RUNS) for part in source.parts if part.is_import for found in part.imports]
            counted = [part for part in source.parts if part.runs]
        elif source.is_dynamic or (name not in source.by_name and not self._source(f"{module}.{name}")):
            counted = list(source.parts)
            self._todo += [(one, ALL) for one in _inside(module)]
        else:
            counted = [*source.by_name.get(name, ()), *self._changing(source, name)]
            if name not in source.by_name:  # a module of this package, asked for as its attribute
                self._todo.append((f"{module}.{name}", ALL))
        for part in counted:
            self._texts.setdefault(module, set()).add(part.text)
            self._todo += self._named(module, source, part)

    def _changing(self, source: Source, name: str) -> Iterator[Part]:
        """The parts that may change what a name stands for."""
        imported = [found for part in source.by_name.get(name, ()) if part.is_import for found in part.imports]
        if any(not found.name or not self._is_followed(found.module) or self._is_module(found) for found in imported):
            return
        for part in source.parts:
            mentions = name in source.variables and any(name == one for one, _ in part.names)
            if mentions or name in part.changes:
                yield part

    def _named(self, module: str, source: Source, part: Part) -> Iterator[tuple[str, str]]:
        """What a part names: names of its own file, or what these import."""
        if not part.is_import:
            yield from (self._target(found, ALL) for found in part.imports)
        for name, attribute in part.names:
            if name in source.by_name:
                yield module, name
                for one in source.by_name[name]:
                    if one.is_import:
                        yield from self._targets(one, name, attribute)
            elif attribute != TEXT and name not in part.inner and name not in OF_EVERY_MODULE:
                yield module, ALL

    def _targets(self, part: Part, name: str, attribute: str) -> Iterator[tuple[str, str]]:
        """What an import at the top of a file gives, where `attribute` is asked of its name."""
        for found in part.imports:
            if not found.name and found.module != name and found.module.startswith(f"{name}."):  # `import a.b` binds a
                yield found.module, ALL
                yield name, attribute or ALL
            else:
                yield self._target(found, attribute or ALL)

    def _target(self, found: Import, attribute: str) -> tuple[str, str]:
        """(module, name) of an import whose `attribute` is used, which matters for a module."""
        attribute = ALL if attribute == TEXT else attribute
        if not found.name:
            return found.module, attribute
        if self._is_module(found):
            return f"{found.module}.{found.name}", attribute
        return found.module, found.name

    def _is_module(self, found: Import) -> bool:
        source = self._source(found.module)
        return (
            source is not None
            and found.name not in source.by_name
            and bool(self._source(f"{found.module}.{found.name}"))
        )

    def _is_followed(self, module: str) -> bool:
        top = module.partition(".")[0]
        return top in (self._package, *SHIPPED) or (top not in MACHINERY and _is_users(top))

    def _source(self, module: str) -> Source | None:
        """The file of a module; None for what is not followed, and for what is no module."""
        spec = _spec(module) if module and self._is_followed(module) else None
        if spec is None or not spec.origin or not Path(spec.origin).is_file():
            return None
        code = Path(spec.origin).read_bytes()
        if not spec.origin.endswith(".py"):
            return Source((Part(sha256(code).hexdigest(), frozenset(), runs=True),), frozenset(), is_dynamic=True)
        shipped = module.partition(".")[0] in SHIPPED
        return parts.read(code, spec.parent or "", not shipped or b"__doc__" in code or b"getdoc" in code)


def _inside(module: str) -> list[str]:
    """The modules of a package, which are its attributes."""
    spec = _spec(module)
    places = spec.submodule_search_locations if spec else None
    return [f"{module}.{one.name}" for one in pkgutil.iter_modules(places)] if places else []


@cache
def _is_users(top: str) -> bool:
    """Whether a module of this name is a file of the user's: neither Python's own nor installed."""
    spec = _spec(top)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return False
    installed = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    path = Path(spec.origin).resolve()
    return not any(path.is_relative_to(Path(one).resolve()) for one in installed)


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is; None where it is none. Imports nothing: a method's module may need torch."""
    if module in sys.modules:
        return sys.modules[module].__spec__
    above = module.rpartition(".")[0]
    if not above:
        return find_spec(module)
    package = _spec(above)
    places = package.submodule_search_locations if package else None
    return PathFinder.find_spec(module, places) if places is not None else None
