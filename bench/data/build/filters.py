"""DPL's filters over the reviews of one category (spec, Data), as queries of the engine.

A table of reviews has `person`, `item` (numbers), `seq` (a person's reviews newest first), `words` (a hash of the
text), `file` and `number` (the raw line). After `unique` it holds one review per person and item.
"""

from __future__ import annotations

from bench.data.build.engine import Engine
from bench.data.build.rules import Rules


def code(engine: Engine, *, timed: bool) -> None:
    """`seen` -> `good`: the reviews that lack nothing, on admitted items; `people` and `goods` give ids their numbers.

    Newest first is by timestamp; equal times keep `source_order`, then the place in the files.
    """
    engine.run("""CREATE TABLE goods AS SELECT *, row_number() OVER (ORDER BY item_id)::INTEGER AS item FROM (
        SELECT item_id, min((file, number)) AS origin FROM wares WHERE lacks = '' GROUP BY item_id)""")
    kept = f"SELECT * FROM seen WHERE lacks = '' {'AND timestamp IS NOT NULL' if timed else ''}"
    engine.run(f"CREATE TABLE chosen AS SELECT seen.*, item FROM ({kept}) AS seen JOIN goods USING (item_id)")
    engine.run("""CREATE TABLE people AS SELECT *, row_number() OVER (ORDER BY user_id)::INTEGER AS person
        FROM (SELECT DISTINCT user_id FROM chosen)""")
    engine.run("""CREATE TABLE good AS SELECT person, item, words, file, number, row_number() OVER (
            PARTITION BY person ORDER BY -coalesce(timestamp, 0), source_order, file, number)::INTEGER AS seq
        FROM chosen JOIN people USING (user_id)""")
    engine.run("DROP TABLE chosen")


def unique(engine: Engine, *, by_text: bool) -> None:
    """`good` -> `distinct_reviews`: of each person the newest on an item and, with `by_text`, of a text.

    A review that has fallen takes no other with it. So in rounds: the first of its item and of its text is
    kept, and what it rules out falls, until nothing is left to decide.
    """
    groups = ["item", "words"] if by_text else ["item"]
    first = " AND ".join(f"seq = min(seq) OVER (PARTITION BY person, {group})" for group in groups)
    engine.run("CREATE TABLE distinct_reviews AS SELECT * FROM good WHERE false")
    engine.run("CREATE TEMP TABLE undecided AS SELECT * FROM good")
    while engine.count("undecided"):
        engine.run(f"CREATE OR REPLACE TEMP TABLE decided AS SELECT *, {first} AS kept FROM undecided")
        engine.run("INSERT INTO distinct_reviews SELECT * EXCLUDE kept FROM decided WHERE kept")
        joins = " ".join(
            f"ANTI JOIN (SELECT person, {group} FROM decided WHERE kept) USING (person, {group})" for group in groups
        )
        engine.run(
            "CREATE OR REPLACE TEMP TABLE undecided AS "
            f"SELECT * EXCLUDE kept FROM (SELECT * FROM decided WHERE NOT kept) AS rest {joins}"
        )
    engine.run("DROP TABLE good; DROP TABLE decided; DROP TABLE undecided")


def core(engine: Engine, rules: Rules) -> None:
    """`distinct_reviews` -> `core`: until nothing changes, items of too few users and users of too few or too many
    reviews are dropped at once.

    Both are judged on the same counts, as DPL does. It matters for `max_user_reviews`: a user above it
    goes although the items that fall away in the same round might have brought the count below it.
    """
    engine.run("ALTER TABLE distinct_reviews RENAME TO core")
    _until_stable(
        engine,
        "core",
        f"""SELECT * FROM core
            SEMI JOIN (SELECT item FROM core GROUP BY item HAVING count(*) >= {rules.min_item_users}) USING (item)
            SEMI JOIN (SELECT person FROM core GROUP BY person
                HAVING count(*) BETWEEN {rules.min_user_reviews} AND {rules.max_user_reviews}) USING (person)""",
    )


def divide(engine: Engine, rules: Rules) -> None:
    """`core` -> `final`: each user's newest reviews are inputs, the rest is the profile, filtered to a fixed point.

    Items need `min_profile_item_users` users' profiles, users `min_profile_reviews` reviews in theirs; a
    user who falls short goes altogether. `place` counts a user's inputs from 1 and is NULL in the profile;
    `position` counts the rows of the dataset from 0.
    """
    n_inputs = rules.train_inputs + 2
    engine.run("""CREATE TABLE placed AS
        SELECT *, row_number() OVER (PARTITION BY person ORDER BY seq)::INTEGER AS place FROM core""")
    engine.run(f"CREATE TABLE profile AS SELECT * FROM placed WHERE place > {n_inputs}")
    common = f"SELECT item FROM profile GROUP BY item HAVING count(*) >= {rules.min_profile_item_users}"
    _until_stable(
        engine,
        "profile",
        f"""WITH rest AS MATERIALIZED (SELECT * FROM profile SEMI JOIN ({common}) USING (item))
            SELECT * FROM rest SEMI JOIN (SELECT person FROM rest GROUP BY person
                HAVING count(*) >= {rules.min_profile_reviews}) USING (person)""",
    )
    users = "SEMI JOIN profile USING (person)" if rules.min_profile_reviews else ""
    engine.run(f"""CREATE TABLE final AS SELECT *, row_number() OVER (ORDER BY person, seq)::INTEGER - 1 AS position
        FROM (SELECT * FROM placed {users} WHERE place <= {n_inputs}
            UNION ALL SELECT * REPLACE (NULL AS place) FROM profile)""")
    engine.run("DROP TABLE placed; DROP TABLE profile")


def _until_stable(engine: Engine, table: str, smaller: str) -> None:
    """Replaces a table by the query on it, again and again, until the query drops no row."""
    size = engine.count(table)
    while True:
        engine.run(f"CREATE TABLE smaller AS {smaller}; DROP TABLE {table}; ALTER TABLE smaller RENAME TO {table}")
        if (left := engine.count(table)) == size:
            return
        size = left
