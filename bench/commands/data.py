"""`bench data ...`: build datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.output import console


def data_build(
    reviews: Annotated[list[Path], typer.Option("--reviews", help="Raw reviews, .jsonl or .jsonl.gz; repeatable.")],
    meta: Annotated[list[Path], typer.Option("--meta", help="Raw item metadata; repeatable.")],
    category: Annotated[str, typer.Option("--category", help="The name of this category in tables.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the dataset; other categories in it stay.")],
    min_chars: Annotated[int, typer.Option(help="Shortest review text, in characters.")] = 200,
    min_user_reviews: Annotated[int, typer.Option(help="Fewest reviews of a user.")] = 18,
    max_user_reviews: Annotated[int, typer.Option(help="Most reviews of a user.")] = 500,
    min_item_users: Annotated[int, typer.Option(help="Fewest users of an item.")] = 8,
    min_description: Annotated[int, typer.Option(help="Shortest item description; 0 admits items without.")] = 100,
    max_description: Annotated[int, typer.Option(help="Longest item description.")] = 2000,
    train_inputs: Annotated[int, typer.Option(help="Train samples a user; one val and one test come on top.")] = 8,
    min_profile_reviews: Annotated[int, typer.Option(help="Fewest profile reviews of a user.")] = 8,
    min_profile_item_users: Annotated[int, typer.Option(help="Fewest users of a profile item.")] = 5,
    require: Annotated[
        str, typer.Option(help="Metadata fields that an item must have; comma list.")
    ] = "title,categories,rating_number",
    require_review_title: Annotated[bool, typer.Option(help="Leave out reviews without a title.")] = True,
    dedupe_text: Annotated[bool, typer.Option(help="One review per text and user.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first broken line.")] = False,
) -> None:
    """Raw Amazon-2023-style files to a dataset, by DPL's rules; every threshold is an option."""
    from bench import grid
    from bench.data.build import build
    from bench.data.rules import Rules
    from results.show import build_report

    rules = Rules(
        min_chars=min_chars,
        require_review_title=require_review_title,
        min_description=min_description,
        max_description=max_description,
        require=tuple(grid.words(require)),
        dedupe_text=dedupe_text,
        min_user_reviews=min_user_reviews,
        max_user_reviews=max_user_reviews,
        min_item_users=min_item_users,
        train_inputs=train_inputs,
        min_profile_item_users=min_profile_item_users,
        min_profile_reviews=min_profile_reviews,
    )
    report = build(reviews=reviews, meta=meta, category=category, out=out, rules=rules, strict=strict)
    build_report(console(), report)
