"""Plug-ins: components of other people's files, and what goes wrong in their code.

`--plugin my.py` adds every component of a file, under the names of its classes in lower case. An error in a plug-in's
code becomes one line that names the component, its file and the sample. An error in a built-in component is a bug of
ours and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import traceback
from collections.abc import Iterable, Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from bench import registry
from bench.errors import BenchError, PluginError, UserError

ERROR = "scoring-error.txt"  # in a run folder: the traceback of the plug-in that kept the run from being scored

# The method of bench.protocols that only one kind has makes a class of a plug-in file one of that kind.
CONTRACT: dict[str, registry.Kind] = {"write": "method", "rank": "retriever", "aggregate": "metric", "folder": "data"}

_loaded: list[str] = []


# ---------------------------------------------------------------- files


def load(files: Iterable[str]) -> None:
    """Adds the components of these files to the registry: dataclasses with a method of `CONTRACT`.

    Raises UserError for a file that does not exist, cannot be imported, or holds no component.
    """
    for file in files:
        path = Path(file).resolve()
        if str(path) in _loaded:
            continue
        module = _import(path)
        found = list(_components(module))
        if not found:
            needed = ", ".join(f"{name} ({kind})" for name, kind in CONTRACT.items())
            raise UserError(
                f"--plugin {file} holds no component: a dataclass with one of {needed}; see bench/protocols.py"
            )
        for kind, cls in found:
            name = cls.__name__.lower()
            if not registry.add(kind, name, f"{module.__name__}:{cls.__name__}"):
                raise UserError(
                    f"--plugin {file}: class {cls.__name__} would be {kind} '{name}', "
                    "which is there already; rename the class"
                )
        _loaded.append(str(path))


def loaded() -> tuple[str, ...]:
    """The files that were loaded, for another process that must load them too."""
    return tuple(_loaded)


def _components(module: ModuleType) -> Iterator[tuple[registry.Kind, type]]:
    """The dataclasses that the module itself defines, with their kinds."""
    for cls in vars(module).values():
        if isinstance(cls, type) and cls.__module__ == module.__name__ and dataclasses.is_dataclass(cls):
            for needed, kind in CONTRACT.items():
                if callable(getattr(cls, needed, None)):
                    yield kind, cls


def _import(path: Path) -> ModuleType:
    """Imports a file under its own name, so that pickle finds its classes in another process."""
    name = path.stem
    spec = spec_from_file_location(name, path) if path.is_file() and path.suffix == ".py" else None
    if spec is None or spec.loader is None or not name.isidentifier():
        raise UserError(f"--plugin {path} is no Python file; name one, like --plugin my_method.py")
    if name in sys.modules or find_spec(name) is not None:
        raise UserError(f"--plugin {path}: a module '{name}' is there already; rename the file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"--plugin {path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


# ---------------------------------------------------------------- failures


def is_ours(kind: registry.Kind, name: str) -> bool:
    return name in registry.BUILTIN[kind]


def failed(kind: registry.Kind, name: str, where: str, error: BaseException) -> PluginError:
    """`metric 'mine' of /home/me/mine.py failed on sample a/b: ValueError: no words`, with the error as its cause."""
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    failure = PluginError(f"{kind} '{name}' of {registry.origin(kind, name)} failed {where}: {said}")
    failure.__cause__ = error
    return failure


@contextlib.contextmanager
def working(kind: registry.Kind, name: str, where: str) -> Iterator[None]:
    """Around a call of a component. Raises PluginError for an error of a plug-in, unless it has one line already."""
    try:
        yield
    except BenchError:
        raise
    except (Exception, SystemExit) as error:
        if is_ours(kind, name):
            raise
        raise failed(kind, name, where, error) from error


@contextlib.contextmanager
def traced(folder: Path) -> Iterator[None]:
    """Keeps the traceback of a plug-in's failure in the run folder and names it; success removes an earlier one."""
    file = folder / ERROR
    try:
        yield
    except PluginError as error:
        with contextlib.suppress(OSError):
            file.write_text("".join(traceback.format_exception(error)), "utf-8", "backslashreplace")
        raise PluginError(f"{error} (traceback: {file}); mend it and run the same command: no text is lost") from error
    file.unlink(missing_ok=True)
