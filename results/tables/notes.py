"""The notes below a table: data, model, engine, sampling, K, seeds, counts, failures, metrics, commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from results.tables import calibrated, run_settings, special_notes
from results.tables.finished_runs import FinishedRun, Summary
from results.tables.formats.shared import BEST

if TYPE_CHECKING:
    from bench.types import Column

SYNTHETIC = "SYNTHETIC DATA: invented users with planted habits; these numbers say nothing about real ones."
INTERVALS = "±: half the width of the 95 % interval, bootstrap over {users} users ({draws} draws)."
KEPT = (
    "kept: past reviews in the prompt that wrote the text, mean over samples; in brackets the share of samples whose "
    "prompt has all that were retrieved. The input budget leaves out the others."
)
SEVERAL_SEEDS = " (mean; n counts each sample once, failed and costs are of all seeds)"
NO_DIRECTION = "{columns}: no direction, so no best and no daggers; `higher_is_better` of the metric's Column says one."


def of_runs(
    rows: Mapping[str, Sequence[FinishedRun]], shared: Summary, columns: Sequence[Column], *, older: int
) -> tuple[str, ...]:
    """`rows`: label -> the runs of its seeds. `shared`: what they have in common, with the metrics of all (`scored`).

    `older`: how many older runs of the same cells were left out.
    """
    group = [run.summary for runs in rows.values() for run in runs]
    commits = list(dict.fromkeys(summary["commit"] for summary in group if summary.get("commit")))
    versions = {name: version for found in shared["metric_versions"].values() for name, version in found.items()}
    return (
        *([SYNTHETIC] if shared["data"]["synthetic"] else []),
        _data(shared),
        *special_notes.of_data(rows),
        *([_model(shared)] if shared.get("imported") is None else []),
        *special_notes.of_profile(rows),
        *special_notes.imported(rows),
        *special_notes.changed(rows),
        *special_notes.training(rows),
        _counts(group),
        *special_notes.truncated(rows),
        *special_notes.echoed(rows),
        *special_notes.uncompared(rows),
        *([KEPT] if any(summary["kept"] for summary in group) else []),
        f"Metrics: {', '.join(f'{name} {version}' for name, version in versions.items())}.",
        *special_notes.unscored(rows, shared, columns),
        *special_notes.unread(rows, shared),
        *special_notes.copied(rows, shared),
        *calibrated.of_runs(rows, shared),
        *([f"Commit: {', '.join(commits)}."] if commits else []),
        *_best(columns),
        *([f"{older} older runs of the same cells are left out."] if older else []),
    )


def _data(summary: Summary) -> str:
    data = summary["data"]
    seed = f" drawn with seed {data['limit_seed']}" if data["limit_seed"] else ""
    limit = f", limited to {data['limit']}{seed}" if data["limit"] else ""
    counts = ", ".join(f"{category} {n}" for category, n in summary["n"].items())
    return f"Data: {data['title']} ({data['split']} split{limit}): n = {counts}; {summary['users']} users."


def _model(summary: Summary) -> str:
    sampling, deterministic = summary["sampling"], ", deterministic" if summary["deterministic"] else ""
    return (
        f"Model: {_model_and_engine(summary)}, profile {summary['profile']['name']}; "
        f"temperature {sampling['temperature']}, top-p {sampling['top_p']}, at most {sampling['max_new_tokens']} new "
        f"tokens, input budget {summary['input_budget']}{_of_stages(summary)}{deterministic}."
    )


def _of_stages(summary: Summary) -> str:
    """The budget of the stages before the last, where it is another one."""
    budget = summary["stage_input_budget"]
    return f" ({budget} in stages before the last)" if budget != summary["input_budget"] else ""


def _model_and_engine(summary: Summary) -> str:
    engine = summary["engine"]
    if run_settings.backend(summary) in run_settings.FAKE:
        return f"none, {engine} answers with words of the prompt"
    dtype = run_settings.of(summary)["dtype"]
    return f"{run_settings.model(summary)}{f' ({dtype})' if dtype else ''} on {engine}"


def _counts(group: Sequence[Summary]) -> str:
    """K and shortened prompts are those of the rows that are not imported."""
    seeds = sorted({summary["seed"] for summary in group})
    ours = [summary for summary in group if summary.get("imported") is None]
    ks = sorted({summary["k"] for summary in ours if summary["retriever"]})
    failed = sum(summary["failed"] for summary in group)
    said = (
        f"seeds {', '.join(map(str, seeds))}{SEVERAL_SEEDS if len(seeds) > 1 else ''}; "
        f"failed samples: {failed} (they score 0)"
    )
    if not ours:
        return f"S{said[1:]}."
    shortened, before = (sum(summary[key] for summary in ours) for key in ("shortened", "shortened_before"))
    more = [f"in a stage before the last: {before}"] if before else []
    return (
        f"K = {', '.join(map(str, ks)) or 'none'}; {said}; "
        f"samples whose prompt was shortened: {'; '.join([str(shortened), *more])}."
    )


def _best(columns: Sequence[Column]) -> list[str]:
    """Which columns have a best value: those whose metric says which direction is better."""
    without = [column.label for column in columns if column.higher_is_better is None]
    if not without:
        return [BEST]
    said = NO_DIRECTION.format(columns=", ".join(without))
    return [said] if len(without) == len(columns) else [BEST, said]


def with_intervals(notes: tuple[str, ...], *, users: str, draws: int) -> tuple[str, ...]:
    return (*notes, INTERVALS.format(users=users, draws=f"{draws:,}"))


def with_baseline(notes: tuple[str, ...], *, name: str, comparisons: int) -> tuple[str, ...]:
    return (
        *notes,
        f"† better, ‡ worse than {name}: t-test over users, paired, Holm-corrected over the {comparisons} comparisons "
        "of this table, level 5 %.",
    )


def better(column: Column, difference: float) -> bool:
    """Whether this difference is an improvement in this column."""
    return (difference > 0) == column.higher_is_better
