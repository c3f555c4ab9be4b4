"""Measures LLM personalization. `run`, `load_runs` and `import_predictions` are the Python API (docs/api.md).

The other packages' `__init__.py` are empty. This one is not, as the API's names are those that a reader types: `from
bench import run`. They are loaded when they are asked for: every command imports this file, and must start at once.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import import_predictions as import_predictions
    from bench.api import load_runs as load_runs
    from bench.api import run as run

_API = ("import_predictions", "load_runs", "run")


class _Bench(ModuleType):
    """`bench.run` is the function, always. Importing the package bench/run would set that name to the package."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _API and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Bench


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    from bench import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
