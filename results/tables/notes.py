"""What stands under a table: data, model, engine, sampling, K, seeds, counts, failures, metrics, commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from results.tables import settings
from results.tables.finished import Summary

if TYPE_CHECKING:
    from bench.types import Column

INTERVALS = "±: half the width of the 95 % interval, bootstrap over {users} users ({draws} draws)."
BEST = "Best in bold, second underlined."


def of_runs(group: Sequence[Summary], *, older: int) -> tuple[str, ...]:
    """`older` runs of the same cells were left out."""
    first = group[0]
    data, sampling = first["data"], first["sampling"]
    seeds = sorted({summary["seed"] for summary in group})
    failed, shortened = (sum(summary[key] for summary in group) for key in ("failed", "shortened"))
    counts = ", ".join(f"{category} {n}" for category, n in first["n"].items())
    versions = {name: version for found in first["metric_versions"].values() for name, version in found.items()}
    limit = f", limited to {data['limit']}" if data["limit"] else ""
    ks = sorted({summary["k"] for summary in group if summary["retriever"]})
    notes = [
        f"Data: {data['title']} ({data['split']} split{limit}): n = {counts}; {first['users']} users.",
        f"Model: {_model(first)}, profile {first['profile']['name']}; "
        f"temperature {sampling['temperature']}, top-p {sampling['top_p']}, at most {sampling['max_new_tokens']} new "
        f"tokens, input budget {first['input_budget']}{', deterministic' if first['deterministic'] else ''}.",
        f"K = {', '.join(map(str, ks)) or 'none'}; seeds {', '.join(map(str, seeds))}"
        f"{' (mean)' if len(seeds) > 1 else ''}; failed samples: {failed} (they score 0); "
        f"samples whose prompt was shortened: {shortened}.",
        f"Metrics: {', '.join(f'{name} {version}' for name, version in versions.items())}.",
        BEST,
    ]
    commits = list(dict.fromkeys(summary["commit"] for summary in group if summary.get("commit")))
    if commits:
        notes.insert(-1, f"Commit: {', '.join(commits)}.")
    if data["synthetic"]:
        notes.insert(
            0, "SYNTHETIC DATA: invented users with planted habits; these numbers say nothing about real ones."
        )
    if older:
        notes.append(f"{older} older runs of the same cells are left out.")
    return tuple(notes)


def _model(summary: Summary) -> str:
    engine = summary["engine"]
    if settings.backend(summary) in settings.FAKE:
        return f"none, {engine} answers with words of the prompt"
    dtype = settings.of(summary)["dtype"]
    return f"{summary['model']}{f' ({dtype})' if dtype else ''} on {engine}"


def with_intervals(notes: tuple[str, ...], *, users: str, draws: int) -> tuple[str, ...]:
    return (*notes, INTERVALS.format(users=users, draws=f"{draws:,}"))


def with_baseline(notes: tuple[str, ...], *, name: str, comparisons: int) -> tuple[str, ...]:
    return (
        *notes,
        f"† better, ‡ worse than {name}: t-test over users, paired, Holm-corrected over the {comparisons} comparisons "
        "of this table, level 5 %.",
    )


def better(column: Column, difference: float) -> bool:
    return (difference > 0) == column.higher_is_better
