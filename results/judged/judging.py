"""`bench judge A --against B`: the texts of two rows, judged in pairs, and the judge calibrated on the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.data.corpus import Corpus, load
from bench.errors import EngineError, UserError
from bench.record import judged, runs
from bench.record.judged import About, Judgement, Pair
from bench.score import keep, written
from bench.score.judging import Judges
from bench.score.written import Written
from bench.types import UserTarget
from metrics.pairwise import Case, PairwiseJudge, Verdict
from results.judged.known import Known, known
from results.tables import named_rows, run_settings
from results.tables.finished_runs import FinishedRun

OPTIONS = {
    "base_url": "--base-url", "model": "--model-name", "reviews": "--reviews", "max_new_tokens": "--max-new-tokens",
}  # fmt: skip

Say = Callable[[str], None]
Sides = list[tuple[FinishedRun, FinishedRun]]  # A and B, of one seed each


def sides(a: str, b: str, out: Path) -> tuple[str, str, Sides]:
    """The labels of A and of B, and their runs in pairs. Raises UserError where they do not pair up."""
    (label_a, runs_a), (label_b, runs_b) = named_rows.pair(a, b, out)
    if any(run.summary["data"] != runs_a[0].summary["data"] for run in (*runs_a, *runs_b)):
        raise UserError(f"{a} and {b} differ in their data, so they do not pair up; run both on the same samples")
    if {run.folder.path.resolve() for run in runs_a} & {run.folder.path.resolve() for run in runs_b}:
        raise UserError(f"{a} and {b} are the same runs; name another baseline by --against")
    return label_a, label_b, _by_seed(a, b, runs_a, runs_b)


def _by_seed(a: str, b: str, runs_a: Sequence[FinishedRun], runs_b: Sequence[FinishedRun]) -> Sides:
    """The seeds that both have; two single runs pair up whatever their seeds are."""
    if len(runs_a) == len(runs_b) == 1:
        return [(runs_a[0], runs_b[0])]
    seeds = {run.summary["seed"]: run for run in runs_b}
    found = [(run, seeds[run.summary["seed"]]) for run in runs_a if run.summary["seed"] in seeds]
    if not found:
        raise UserError(f"{a} and {b} have no seed in common; name a run folder of each")
    return found


def place(label_a: str, label_b: str, pairs: Sides, judge: PairwiseJudge) -> Path:
    """Where the judgement is kept: beside A's runs."""
    return judged.place(pairs[0][0].folder.path.parent, label_a, label_b, _names(pairs), options(judge))


def _names(pairs: Sides) -> list[str]:
    """Of all run folders, A's then B's."""
    return [run.folder.path.name for side in zip(*pairs, strict=True) for run in side]


def options(judge: PairwiseJudge) -> dict[str, Any]:
    return {one.name: getattr(judge, one.name) for one in fields(judge) if one.init}


def again(label_a: str, label_b: str, pairs: Sides, judge: PairwiseJudge) -> Judgement:
    """What was kept: by this judge, else the only one of these runs that fits the options that were given.

    Raises UserError where nothing was, where several fit, or where the texts have changed since.
    """
    path = place(label_a, label_b, pairs, judge)
    if not path.is_file():
        path = _only(pairs, judge) or path
    kept = judged.read(path)
    if kept.about.runs != _digests(pairs):
        raise UserError(f"texts have changed since {path} was written; leave out --again")
    return kept


def _only(pairs: Sides, judge: PairwiseJudge) -> Path | None:
    names = _names(pairs)
    heads = judged.heads(pairs[0][0].folder.path.parent)
    found = [(path, about) for path, about in heads if list(about.runs) == names and _fits(about, judge)]
    if len(found) > 1:
        listed = "; ".join(_called(about) for _, about in found)
        raise UserError(f"{len(found)} judgements of these runs are kept: {listed}; give the options of one")
    return found[0][0] if found else None


def _fits(about: About, judge: PairwiseJudge) -> bool:
    """Whether nothing that was given speaks against it. A model may be the only one of a server that was named."""
    given = {key: value for key, value in options(judge).items() if value != getattr(PairwiseJudge, key)}
    model = given.pop("model", None)
    known = (None, about.options.get("model"), about.judge.partition(" on ")[0])
    return model in known and all(about.options.get(key) == value for key, value in given.items())


def _called(about: About) -> str:
    """'served-model on openai 1 (--base-url http://localhost:8000/v1)': the judge, and the options that name it."""
    given = {key: value for key, value in about.options.items() if value != getattr(PairwiseJudge, key, None)}
    said = " ".join(f"{option} {given[key]}" for key, option in OPTIONS.items() if key in given)
    return f"{about.judge} ({said or 'without options'})"


def judge_sides(
    label_a: str,
    label_b: str,
    pairs: Sides,
    judge: PairwiseJudge,
    *,
    known_pairs: int,
    judges: Judges,
    say: Say = lambda text: None,
) -> Judgement:
    """Asks for every pair of texts in both orders, then for `known_pairs` pairs with known answers. Keeps all.

    The judge speaks and is budgeted as the model of A's first run, where it is not another one. Raises UserError where
    a run's data has changed or its engine asks no model, EngineError where the judge cannot be reached or answers none
    of the questions about two runs.
    """
    first = pairs[0][0].folder
    config = written.read_config(first)
    if not judge.base_url and config.generator in run_settings.FAKE:
        raise UserError(
            f"{first.path.name} was written by {config.generator}, which is no model and cannot judge; name a judge by "
            "--base-url"
        )
    corpus = load(config.data)
    judge.respondent = judges.respondent(judge, config, out=first.path.parent)
    found: list[Pair] = []
    for one, other in pairs:
        made = _judged(judge, written.read(one.folder, corpus), written.read(other.folder, corpus))
        answers = [answer for pair in made for answer in pair.answers]
        if answers and not any(answer is not None for answer in answers):
            raise EngineError(
                f"{judge.respondent.name} answered none of {len(answers)} questions, so nothing is kept; mend the "
                "judge, then give the same command"
            )
        found += made
    say(f"calibrating on up to {known_pairs} pairs with known answers")
    calibration = calibrated(judge, known(corpus, config.split, n=known_pairs) if known_pairs else [])
    about = About(
        a=label_a,
        b=label_b,
        runs=_digests(pairs),
        data=_data(corpus, pairs[0][0]),
        judge=judge.respondent.name,
        version=judge.version,
        options=runs.plain(options(judge)),
    )
    judgement = Judgement(about, tuple(found), tuple(calibration))
    judged.write(place(label_a, label_b, pairs, judge), judgement)
    return judgement


def _data(corpus: Corpus, run: FinishedRun) -> str:
    return f"{corpus.title} ({run.summary['data']['split']} split)"


def _digests(pairs: Sides) -> dict[str, str]:
    """run -> sha256 of its texts."""
    folders = {run.folder.path.name: run.folder for side in pairs for run in side}
    return {name: keep.digests(folder)[runs.SAMPLES] for name, folder in folders.items()}


def _judged(judge: PairwiseJudge, a: Written, b: Written) -> list[Pair]:
    targets = a.targets.users()
    texts = list(zip(a.texts, b.texts, strict=True))
    verdicts = judge.decide([_case(target, *pair) for target, pair in zip(targets, texts, strict=True)])
    return [
        _pair(target, pair, verdict, seed=a.config.seed)
        for target, pair, verdict in zip(targets, texts, verdicts, strict=True)
    ]


def calibrated(judge: PairwiseJudge, pairs: Sequence[Known]) -> list[Pair]:
    """The user's own text is the one, the peer's the other."""
    texts = [(one.target.reference, one.peer.text) for one in pairs]
    verdicts = judge.decide([_case(one.target, *pair) for one, pair in zip(pairs, texts, strict=True)])
    return [
        _pair(one.target, pair, verdict, known=one.peer.review_id, near=one.near)
        for one, pair, verdict in zip(pairs, texts, verdicts, strict=True)
    ]


def _case(target: UserTarget, one: str, other: str) -> Case:
    """With the real user's history, also where the method was shown another one's."""
    return Case(target.sample.item, target.author.reviews, one, other)


def _pair(target: UserTarget, texts: Iterable[str], verdict: Verdict, **more: Any) -> Pair:
    return Pair(
        sample_id=target.sample.sample_id,
        category=target.sample.category,
        user_id=target.sample.user_id,
        words=[len(text.split()) for text in texts],
        score=verdict.score,
        settled=verdict.settled,
        answers=list(verdict.answers),
        choices=list(verdict.choices),
        reviews=verdict.reviews,
        shortened=verdict.shortened,
        **more,
    )
