"""Every suite with tiny models on a few bundled samples; its tables, figures and a report into docs/examples.

python -m benchmarks.examples [--limit 12] [--out runs/examples] [--to docs/examples]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.suite import suite

LABEL = "Tiny-model example: shows the layout, not which method is better"
TRAINED = 8
SMALL = ("max_new_tokens=64", f"train.limit={TRAINED}", "train.epochs=2", "train.val_limit=6")

HEAD = """\
# Examples

Made by `make examples`, which runs every suite on {limit} samples of the bundled corpus with models of 135 million
parameters and fewer. **These are tiny-model examples. They show the layout and not which method is better**: users
and reviews are invented, samples are few, and trained methods saw {trained} reviews.

[report.html](report.html) is the report of `table1`: save it and open it in a browser; it needs no network.
"""


@dataclass(frozen=True)
class Example:
    """A suite in the examples: its arguments for `bench table`, and its figure for `bench plot`."""

    suite: str
    arguments: tuple[str, ...] = ()
    figure: str = ""


EXAMPLES = (
    Example("table1", ("--baseline", "nonperso"), "costs"),
    Example("retrievers", ("--costs",)),
    Example("ablations", (), "ablations"),
    Example("k-sweep", (), "k-sweep"),
    Example("uniqueness", (), "uniqueness"),
    Example("statistics", ("--paper",)),
)


def bench(*arguments: object) -> str:
    """The output of a `bench` command; its progress goes to stderr. Exits if the command fails."""
    command = [sys.executable, "-c", "from bench.cli import main; main()", *map(str, arguments)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.returncode)
    return run.stdout


def section(example: Example, out: Path, to: Path) -> str:
    """The suite's tables and its figure, as Markdown."""
    name = example.suite
    lines = [
        f"## {name}",
        f"*{suite.load(name).title}. {LABEL}.*",
        f"`{' '.join(('bench table', name, *example.arguments))}`",
    ]
    lines.append(bench("table", name, out, *example.arguments, "--format", "markdown").rstrip())
    if example.figure:
        figures = bench("plot", example.figure, name, out, "--to", to / f"{example.figure}.svg", "--title", f"{LABEL}.")
        lines += [f"`bench plot {example.figure} {name}`"]
        lines += [f"![{example.figure}, {LABEL.lower()}]({Path(place).name})" for place in figures.splitlines()]
    return "\n\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--limit", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("runs/examples"))
    parser.add_argument("--to", type=Path, default=Path("docs/examples"))
    given = parser.parse_args()
    values = [word for value in SMALL for word in ("--set", value)]
    for example in EXAMPLES:
        bench("grid", example.suite, "--profile", "tiny", "--limit", given.limit, "--out", given.out, *values)
    given.to.mkdir(parents=True, exist_ok=True)
    report = given.to / "report.html"
    bench("report", "table1", given.out, "--baseline", "nonperso", "--title", f"{LABEL}.", "--to", report)
    head = HEAD.format(limit=given.limit, trained=TRAINED)
    sections = [head, *(section(example, given.out, given.to) for example in EXAMPLES)]
    (given.to / "README.md").write_text("\n".join(sections) + "\n", "utf-8")
    size = sum(file.stat().st_size for file in given.to.iterdir())
    print(f"{given.to}: {', '.join(sorted(file.name for file in given.to.iterdir()))}; {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
