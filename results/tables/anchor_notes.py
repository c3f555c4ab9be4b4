"""The notes on anchors below a table: what they are, which samples and metrics they lack, how to get the floor."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from bench.run.asked import Asked
from bench.score.written import read_config
from results.tables import anchor_texts, run_settings
from results.tables.finished_runs import FinishedRun, Summary

FLOOR = "nonperso"
ANCHORS = (
    "Anchors are real texts, scored as the rows above are; they are no methods and never best. {about}. peer is what "
    "another writer gives who knows the item, copy what the user's own old words give."
)


def of(
    found: Sequence[FinishedRun], shared: Summary, *, missing: Mapping[str, int], lacking: Mapping[str, str], n: int
) -> tuple[str, ...]:
    """`missing`: anchor -> samples of the `n` without such a text; `lacking`: metric -> why it has no value."""
    about = "; ".join(f"{name}: {text}" for name, text in anchor_texts.ABOUT.items())
    return (
        ANCHORS.format(about=about),
        *_missing(missing, n),
        *(f"Anchors have no value of {metric}, which {why}." for metric, why in lacking.items()),
        *floor(found, shared),
    )


def _missing(missing: Mapping[str, int], n: int) -> Iterator[str]:
    for name, count in missing.items():
        if count:
            yield (
                f"Anchor {name} is of {n - count} of the {n} samples, and has no daggers: {count} have "
                f"{anchor_texts.WITHOUT[name]}. Its values are of other samples than the rest of the table."
            )


def floor(found: Sequence[FinishedRun], shared: Summary) -> Iterator[str]:
    """The command that adds the floor, where no run of the table is one."""
    if not any(run.summary["method"] == FLOOR and not run.summary["variant"] for run in found):
        yield f"The floor, Non-Perso, is not in this table; `{shlex.join(['bench', *_words(found, shared)])}` adds it."


def _words(found: Sequence[FinishedRun], shared: Summary) -> list[str]:
    config = read_config(found[0].folder)
    by_hand = run_settings.changed(shared)
    asked = Asked(
        method=FLOOR,
        retriever="",
        k="",
        data=config.data,
        profile=config.profile.name,
        limit=config.limit,
        seed=",".join(map(str, sorted({run.summary["seed"] for run in found}))),
        split="" if config.split == "test" else config.split,
        history="",
        generator=config.generator,
        base_url=str(config.generator_options.get("base_url", "")),
        model_name=str(config.generator_options.get("model", "")),
        metric=",".join(shared["metric_versions"]),
        deterministic=config.deterministic,
        checkpoint=None,
        out=found[0].folder.path.parent,
        settings={key: now for key, (now, _) in by_hand.items()},
    )
    return asked.words()
