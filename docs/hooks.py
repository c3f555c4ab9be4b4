"""What the site takes from the code when it is built, so that it cannot go stale.

commands.md   <!-- options: run -->    usage, arguments and options of `bench run`, from the command line itself
layout.md     <!-- modules: bench -->  the modules of a package with the first sentence of each docstring
methods/      every page of the folder, in the order of `bench ls methods`
security.md, changelog.md              SECURITY.md and CHANGELOG.md of the repository's root
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MARKER = re.compile(r"^<!-- (options|modules): ([\w./ ]+) -->$", re.MULTILINE)
COPIES = {"security.md": "SECURITY.md", "changelog.md": "CHANGELOG.md"}
METHODS = "methods/"


# ---------------------------------------------------------------- called by mkdocs


def on_config(config: Any) -> Any:
    for section in config.nav:
        for title, entries in section.items():
            if isinstance(entries, list):
                section[title] = [_with_methods(entry) for entry in entries]
    return config


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for name, source in COPIES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    if page.file.src_uri == "commands.md" and (absent := commands().keys() - set(described(markdown))):
        from mkdocs.exceptions import PluginError

        raise PluginError(f"commands.md lacks `<!-- options: {min(absent)} -->`; add it with an example")
    return filled(markdown)


# ---------------------------------------------------------------- what they use


def filled(markdown: str) -> str:
    """Every marker replaced by what it stands for. Raises KeyError for a command that is none."""
    return MARKER.sub(lambda found: {"options": options, "modules": modules}[found[1]](found[2]), markdown)


def described(markdown: str) -> list[str]:
    """The commands whose options a page shows."""
    return [name for kind, name in MARKER.findall(markdown) if kind == "options"]


def commands() -> dict[str, Any]:
    """Words after `bench` -> command: "run", "data build"."""
    from typer.main import get_command

    from bench.cli import app

    return dict(_commands(get_command(app), ""))


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, child in command.commands.items():
        yield from _commands(child, f"{name} {word}".strip())


def options(name: str) -> str:
    """What `bench NAME --help` says, as Markdown: its sentence, its usage, a table of arguments and options."""
    command = commands()[name]
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    usage = " ".join([f"bench {name}", *(_place(one) for one in shown if one.param_type_name == "argument")])
    table = ["| Option | Default | Meaning |", "|---|---|---|", *map(_row, shown)]
    parts = [_text(command.help or ""), f"Usage: `{usage} [OPTIONS]`", "\n".join(table)]
    return "\n\n".join(parts)


def _place(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    many = "..." if argument.nargs == -1 and not argument.metavar else ""
    return f"{name}{many}" if argument.required or name.startswith("[") else f"[{name}]{many}"


def _row(one: Any) -> str:
    if one.param_type_name == "argument":
        names = [_place(one)]
    else:
        names = [*sorted(one.opts, key=len), *one.secondary_opts]
        if not one.is_flag:
            names[-1] += f" {_value(one)}"
    meaning = _text(one.help or "")
    if one.param_type_name == "option" and "list" in str(_annotation(one)) and "repeatable" not in meaning:
        meaning += " May be given several times."
    cells = [", ".join(f"`{name}`" for name in names), _default(one), meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(option: Any) -> str:
    annotation = _annotation(option)
    kind = {int: "N", float: "X"}.get(annotation)
    return kind or ("PATH" if "Path" in str(annotation) else "TEXT")


def _annotation(one: Any) -> Any:
    return getattr(one.type_descriptor, "annotation", str)


def _default(one: Any) -> str:
    if one.required:
        return "required"
    if isinstance(one.show_default, str):
        return one.show_default
    if one.param_type_name == "option" and one.is_flag:
        return f"`{one.opts[-1]}`" if one.default is True else "off"
    return f"`{one.default}`" if one.default not in (None, "", []) else ""


def _text(said: str) -> str:
    """Help as Markdown has it on one line; names of options and of placeholders are not markup."""
    return " ".join(said.replace("<", "&lt;").replace("*", "\\*").split())


def modules(package: str) -> str:
    """File -> what it is for, by its docstring."""
    rows = ["| File | Purpose |", "|---|---|"]
    for path in sorted((ROOT / package).rglob("*.py"), key=lambda path: (path.parent, path.name)):
        if path.read_text("utf-8").strip():
            rows.append(f"| `{path.relative_to(ROOT)}` | {_purpose(path)} |")
    return "\n".join(rows)


def _purpose(path: Path) -> str:
    """The docstring's first sentence, which may go over several lines."""
    sentence = ""
    for line in (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").splitlines():
        sentence = f"{sentence} {line.strip()}".strip()
        if not line.strip() or line.rstrip().endswith((".", ":")):
            break
    return sentence.replace("|", "\\|").replace("<", "&lt;")


def _with_methods(entry: Any) -> Any:
    if isinstance(entry, dict) and METHODS in entry.values():
        return {title: _method_pages() for title in entry}
    return entry


def _method_pages() -> list[str]:
    from bench import registry

    order = ["index", "README", *registry.BUILTIN["method"]]
    found = [path.stem for path in (ROOT / "docs" / METHODS).glob("*.md")]
    found.sort(key=lambda name: (order.index(name) if name in order else len(order), name))
    return [f"{METHODS}{name}.md" for name in found]
