"""Samples for which a retriever has nothing to compare: counted, and refused where they are all.

Their reviews come in an order that the retriever did not choose: BM25 without any word gives the newest reviews, as
recency does. `bench.protocols.ComparingRetriever` says which samples these are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench import registry
from bench.config import RunConfig
from bench.errors import UserError
from bench.types import Sample


def why_not(retriever: Any, sample: Sample) -> str:
    """Why the retriever has nothing to compare; "" where it has, where no review is to be ordered, and where it never
    says. Raises TypeError for an answer that is no text.
    """
    ask = getattr(retriever, "uncompared", None)
    if ask is None or not sample.history:
        return ""
    why = ask(sample)
    if not isinstance(why, str):
        raise TypeError(f"uncompared() gave {type(why).__name__}, not a text")
    return why


def check(config: RunConfig, samples: Sequence[Sample]) -> None:
    """Raises UserError, which names the option that mends it, where the retriever has nothing to compare in any sample.

    A sample on which the retriever fails is no reason: it becomes a failed sample.
    """
    if config.retriever is None or config.k == 0:
        return
    whys = _of_all(config.retriever, config.retriever_options, samples)
    if not whys:
        return
    listed = ", ".join(f"{why} ({count})" for why, count in whys.items())
    raise UserError(
        f"retriever '{config.retriever}' has nothing to compare in all {whys.total()} samples with past reviews: "
        f"{listed}; {_cure(config, samples)}"
    )


def _of_all(name: str, options: Mapping[str, Any], samples: Sequence[Sample]) -> Counter[str]:
    """Why -> samples, where this is so for every sample with past reviews; else empty. Stops at the first other one."""
    retriever = registry.create("retriever", name, options)
    whys: Counter[str] = Counter()
    for sample in samples:
        if not sample.history:
            continue
        try:
            why = why_not(retriever, sample)
        except (Exception, SystemExit):
            return Counter()
        if not why:
            return Counter()
        whys[why] += 1
    return whys


def _cure(config: RunConfig, samples: Sequence[Sample]) -> str:
    """The retriever's own remedy where it helps some sample, else another retriever."""
    assert config.retriever is not None
    remedy = dict(getattr(registry.create("retriever", config.retriever, config.retriever_options), "remedy", {}))
    if remedy and not _of_all(config.retriever, {**config.retriever_options, **remedy}, samples):
        return "add " + " ".join(f"--set {config.retriever}.{key}={value}" for key, value in remedy.items())
    return "choose another --retriever"


def told(config: RunConfig, whys: Mapping[str, str], *, n: int) -> str:
    """One line on the samples of a run, of n, for which the retriever has nothing to compare; "" for none."""
    if not whys:
        return ""
    listed = ", ".join(f"{why} ({count})" for why, count in Counter(whys.values()).items())
    return f"{config.label}: {config.retriever} has nothing to compare for {len(whys)} of {n} samples: {listed}"
