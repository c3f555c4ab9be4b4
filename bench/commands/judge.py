"""`bench judge`: which of two methods' texts a language model finds more like each user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Out, Plugin
from bench.commands.output import console, working


def judge(
    a: Annotated[str, typer.Argument(metavar="A", help="A run folder, or a method or row of the runs in --out.")],
    against: Annotated[str, typer.Option("--against", metavar="B", help="The baseline: a run, method or row too.")],
    base_url: Annotated[
        str, typer.Option("--base-url", help="The judge's server.", show_default="the engine or server of A's run")
    ] = "",
    model_name: Annotated[
        str, typer.Option("--model-name", help="The judge's model.", show_default="A's, or the server's only one")
    ] = "",
    reviews: Annotated[int, typer.Option("--reviews", help="Past reviews of the user that it sees.", min=1)] = 5,
    pairs: Annotated[
        int, typer.Option("--pairs", help="Pairs with known answers that calibrate it, one a user.", min=0)
    ] = 100,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", help="Of an answer; more where it reasons first.", min=1)
    ] = 16,
    again: Annotated[bool, typer.Option("--again", help="Print what is kept; ask nothing, need no model.")] = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Ask a language model whose texts are more like each user, A's or B's: win rates, and how good the judge is.

    Every pair is asked in both orders. The judge is calibrated on real reviews of the same items.
    """
    from bench.score.judging import Judges
    from metrics.pairwise import PairwiseJudge
    from results.judged import judging
    from results.judged.show import show

    asking = PairwiseJudge(base_url=base_url, model=model_name, reviews=reviews, max_new_tokens=max_new_tokens)
    with working("reading finished runs") as meter, Judges(say=meter.say) as judges:
        label_a, label_b, sides = judging.sides(a, against, out)
        if again:
            found = judging.again(label_a, label_b, sides, asking)
        else:
            meter.start(f"judging {label_a} against {label_b}: unanswered questions go to the model")
            found = judging.judge_sides(
                label_a, label_b, sides, asking, known_pairs=pairs, judges=judges, say=meter.start
            )
    show(console(), found)
