"""`bench data ...`: build, fetch and import datasets, and look at them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Data
from bench.commands.output import console, working


def data_build(
    reviews: Annotated[
        list[Path],
        typer.Option("--reviews", help="Raw reviews: .jsonl, .jsonl.gz, .jsonl.zst or .parquet; repeatable."),
    ],
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
    drop_leaked: Annotated[
        bool, typer.Option(help="Leave out targets whose text is also in their history or in peers' reviews.")
    ] = True,
    where: Annotated[
        str, typer.Option("--where", help="Only reviews for which this is true: a DuckDB condition on raw fields.")
    ] = "",
    where_meta: Annotated[str, typer.Option("--where-meta", help="The same for items, on metadata fields.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a broken line, and refuse odd times.")] = False,
) -> None:
    """Build a dataset from raw files like Amazon Reviews 2023, by DPL's rules; every threshold is an option."""
    from bench.console.meter import Meter
    from bench.data.build.pipeline import build
    from bench.data.build.rules import Rules
    from bench.suite import grid
    from results.tables.data_reports import build_report

    rules = Rules(
        min_chars=min_chars,
        require_review_title=require_review_title,
        min_description=min_description,
        max_description=max_description,
        require=tuple(grid.comma_list(require)),
        dedupe_text=dedupe_text,
        min_user_reviews=min_user_reviews,
        max_user_reviews=max_user_reviews,
        min_item_users=min_item_users,
        train_inputs=train_inputs,
        min_profile_item_users=min_profile_item_users,
        min_profile_reviews=min_profile_reviews,
        drop_leaked=drop_leaked,
        where=where,
        where_meta=where_meta,
    )
    with Meter(shown=True) as progress:
        report = build(
            reviews=reviews, meta=meta, category=category, out=out, rules=rules, strict=strict, progress=progress
        )
    build_report(console(), report)


def data_fetch(
    what: Annotated[str, typer.Argument(help="dpl: the public copies of DPL's processed Amazon reviews.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the dataset.")] = Path("data/dpl"),
    copy: Annotated[Path, typer.Option("--copy", help="Where the files as published are kept.")] = Path(
        "data/dpl-copy"
    ),
    revision: Annotated[
        str | None, typer.Option(help="A commit of both repositories; by default that of the first fetch.")
    ] = None,
) -> None:
    """Fetch a published dataset from the Hugging Face hub and import it."""
    from bench.data.published import dpl
    from bench.errors import match

    what = match("dataset to fetch", what, ["dpl"])
    with working(f"fetching {what} from the Hugging Face hub into {copy}"):
        dpl.fetch(copy, revision=revision)
    data_import(copy, out)


def data_import(
    folder: Annotated[Path, typer.Argument(help="A saved copy of the data as published.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the dataset.")],
    layout: Annotated[str, typer.Option(help="dpl, lamp or longlamp.")] = "dpl",
    category: Annotated[
        str | None, typer.Option("--category", help="lamp, longlamp: its name in tables, if not the task's.")
    ] = None,
    n_val: Annotated[int, typer.Option(help="dpl: validation samples drawn of all categories together.")] = 512,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse odd times.")] = False,
) -> None:
    """Import a published benchmark in its own layout: DPL's, LaMP's or LongLaMP's."""
    from typing import cast, get_args

    from bench.data.published import dpl, lamp
    from bench.errors import match
    from results.tables.data_reports import import_report

    layouts = ("dpl", *get_args(lamp.Layout))
    layout = match("layout", layout, layouts)
    with working(f"importing {folder}") as progress:
        if layout == "dpl":
            report = dpl.load(folder, out, n_val=n_val, strict=strict, progress=progress)
        else:
            report = lamp.load(folder, out, cast(lamp.Layout, layout), category=category, strict=strict)
    import_report(console(), report)


def data_world(
    name: Annotated[str | None, typer.Argument(help="plain, drifting, contextual, fashionable or mixed.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the dataset.")] = Path("data/world"),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="knob=value, such as drift=0.5 or users=100; see docs/worlds.md."),
    ] = None,
) -> None:
    """Make a planted world: users with known habits, in any size, from one seed. key.json has the truth."""
    from bench.data.synthetic import world
    from bench.suite import grid

    found = world.knobs(name, grid.settings(settings or []))
    with working(f"making world {name or 'world'}"):
        world.write(out, found, name=name or "world")
    print(f"{out}: {world.title(name or 'world', found)}")


def data_stats(data: Data = "bundled") -> None:
    """Sizes as in the paper's table 4; peers, newer peers, near-duplicates of the reference."""
    from bench.data import statistics
    from bench.data.corpus import load
    from results.tables import data_reports, dataset_sizes

    with working(f"reading data {data}"):
        corpus = load(data)
    dataset_sizes.show(console(), dataset_sizes.title(corpus), dataset_sizes.rows(corpus))
    with working("comparing references with histories and peers, for near-duplicates"):
        peers = statistics.peers(corpus)
    data_reports.peers(console(), peers, corpus.without_peers())


def data_validate(data: Data = "bundled") -> None:
    """Find broken rows, repeated reviews and leaked targets. Exit code 1 if there are any."""
    from bench.data.corpus import NO_PEERS
    from bench.data.validate import odd_ratings, times, validate
    from results.tables.data_reports import findings

    with working(f"reading and checking data {data}"):
        corpus, found = validate(data)
    findings(console(), data, found)
    if corpus is not None and (alone := corpus.without_peers()):
        console().print(f"note: {NO_PEERS.format(', '.join(alone))}", markup=False)
    if corpus is not None and (odd := odd_ratings(corpus)):
        console().print(f"note: {odd}", markup=False)
    for note in times(corpus) if corpus is not None else ():
        console().print(f"note: {note}", markup=False)
    if found:
        raise typer.Exit(1)
