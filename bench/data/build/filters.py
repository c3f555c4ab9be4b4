"""DPL's filters over the reviews of one category (docs/data.md), as queries of the database.

A table of reviews has `person` and `item` (numbers), `seq` (counts a person's reviews, newest first), `words` (a hash
of the text), `file` and `number` (the raw line). After `unique` it holds one review per person and item.
"""

from __future__ import annotations

from bench.data.build.database import Database
from bench.data.build.rules import Rules


def number(database: Database, *, timed: bool) -> None:
    """`raw_reviews` -> `candidates`: the reviews that lack nothing, on items that lack nothing.

    `user_numbers` and `item_numbers` give a number to each user and item id.
    Newest first is by timestamp; equal times keep `source_order`, then the place in the files.
    """
    database.run("""CREATE TABLE item_numbers AS SELECT *, row_number() OVER (ORDER BY item_id)::INTEGER AS item FROM (
        SELECT item_id, min((file, number)) AS origin FROM raw_items WHERE lacks = '' GROUP BY item_id)""")
    kept = f"SELECT * FROM raw_reviews WHERE lacks = '' {'AND timestamp IS NOT NULL' if timed else ''}"
    database.run(f"CREATE TABLE chosen AS SELECT kept.*, item FROM ({kept}) AS kept JOIN item_numbers USING (item_id)")
    database.run("""CREATE TABLE user_numbers AS SELECT *, row_number() OVER (ORDER BY user_id)::INTEGER AS person
        FROM (SELECT DISTINCT user_id FROM chosen)""")
    database.run("""CREATE TABLE candidates AS SELECT person, item, words, file, number, timestamp, row_number() OVER (
            PARTITION BY person ORDER BY -coalesce(timestamp, 0), source_order, file, number)::INTEGER AS seq
        FROM chosen JOIN user_numbers USING (user_id)""")
    database.run("DROP TABLE chosen")


def unique(database: Database, *, by_text: bool) -> None:
    """`candidates` -> `distinct_reviews`: keeps a person's newest review of an item and, with `by_text`, of a text.

    A review that was dropped drops no other. So there are rounds: each keeps the reviews that are the first of their
    item and of their text, and drops the others of these items and texts, until none is undecided.
    """
    groups = ["item", "words"] if by_text else ["item"]
    first = " AND ".join(f"seq = min(seq) OVER (PARTITION BY person, {group})" for group in groups)
    database.run("CREATE TABLE distinct_reviews AS SELECT * FROM candidates WHERE false")
    database.run("CREATE TEMP TABLE undecided AS SELECT * FROM candidates")
    while database.count("undecided"):
        database.run(f"CREATE OR REPLACE TEMP TABLE decided AS SELECT *, {first} AS kept FROM undecided")
        database.run("INSERT INTO distinct_reviews SELECT * EXCLUDE kept FROM decided WHERE kept")
        joins = " ".join(
            f"ANTI JOIN (SELECT person, {group} FROM decided WHERE kept) USING (person, {group})" for group in groups
        )
        database.run(
            "CREATE OR REPLACE TEMP TABLE undecided AS "
            f"SELECT * EXCLUDE kept FROM (SELECT * FROM decided WHERE NOT kept) AS rest {joins}"
        )
    database.run("DROP TABLE candidates; DROP TABLE decided; DROP TABLE undecided")


def core(database: Database, rules: Rules) -> None:
    """`distinct_reviews` -> `core`: drops items of too few users and users of too few or too many reviews, until
    nothing changes.

    Each round judges items and users by the same counts, as DPL does. It matters for `max_user_reviews`: a user above
    it is dropped although the items that are dropped in the same round might have brought the count below it.
    """
    database.run("ALTER TABLE distinct_reviews RENAME TO core")
    _until_stable(
        database,
        "core",
        f"""SELECT * FROM core
            SEMI JOIN (SELECT item FROM core GROUP BY item HAVING count(*) >= {rules.min_item_users}) USING (item)
            SEMI JOIN (SELECT person FROM core GROUP BY person
                HAVING count(*) BETWEEN {rules.min_user_reviews} AND {rules.max_user_reviews}) USING (person)""",
    )


def divide(database: Database, rules: Rules) -> None:
    """`core` -> `final`: a user's newest reviews are inputs, the rest is the profile, filtered until nothing changes.

    An item must be in the profiles of `min_profile_item_users` users, and a profile must have `min_profile_reviews`
    reviews; a user with fewer is dropped with all reviews. `place` counts a user's inputs from 1 and is NULL in the
    profile; `position` counts the rows of the dataset from 0.
    """
    n_inputs = rules.train_inputs + 2
    database.run("""CREATE TABLE placed AS
        SELECT *, row_number() OVER (PARTITION BY person ORDER BY seq)::INTEGER AS place FROM core""")
    database.run(f"CREATE TABLE profile AS SELECT * FROM placed WHERE place > {n_inputs}")
    common = f"SELECT item FROM profile GROUP BY item HAVING count(*) >= {rules.min_profile_item_users}"
    _until_stable(
        database,
        "profile",
        f"""WITH rest AS MATERIALIZED (SELECT * FROM profile SEMI JOIN ({common}) USING (item))
            SELECT * FROM rest SEMI JOIN (SELECT person FROM rest GROUP BY person
                HAVING count(*) >= {rules.min_profile_reviews}) USING (person)""",
    )
    users = "SEMI JOIN profile USING (person)" if rules.min_profile_reviews else ""
    database.run(f"""CREATE TABLE final AS SELECT *, row_number() OVER (ORDER BY person, seq)::INTEGER - 1 AS position
        FROM (SELECT * FROM placed {users} WHERE place <= {n_inputs}
            UNION ALL SELECT * REPLACE (NULL AS place) FROM profile)""")
    database.run("DROP TABLE placed; DROP TABLE profile")


def _until_stable(database: Database, table: str, smaller: str) -> None:
    """Replaces a table by the query on it, again and again, until the query drops no row."""
    size = database.count(table)
    while True:
        database.run(f"CREATE TABLE smaller AS {smaller}; DROP TABLE {table}; ALTER TABLE smaller RENAME TO {table}")
        if (left := database.count(table)) == size:
            return
        size = left
