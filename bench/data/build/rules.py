"""The thresholds that decide which reviews become a dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from bench.errors import UserError


@dataclass(frozen=True, slots=True)
class Rules:
    """DPL's thresholds by default (docs/data.md). Lengths are in characters, before white space is collapsed.

    `require` names fields of the item metadata that must not be empty; `min_description=0` admits items without a
    description. A user's newest two reviews become a test and a val sample, the next `train_inputs` train samples.
    `drop_leaked` drops targets whose text stands in their history or in peers' reviews (bench.data.build.leaks).
    `where` and `where_meta` are conditions on raw rows (bench.data.build.where); "" takes all.
    """

    min_chars: int = 200
    require_review_title: bool = True
    min_description: int = 100
    max_description: int = 2000
    require: tuple[str, ...] = ("title", "categories", "rating_number")
    dedupe_text: bool = True
    min_user_reviews: int = 18
    max_user_reviews: int = 500
    min_item_users: int = 8
    train_inputs: int = 8
    min_profile_item_users: int = 5
    min_profile_reviews: int = 8
    drop_leaked: bool = True
    where: str = ""
    where_meta: str = ""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is int and value < 0:
                raise UserError(f"{self.shown(name)}: give 0 or more")
        for low, high in (("min_description", "max_description"), ("min_user_reviews", "max_user_reviews")):
            if getattr(self, low) > getattr(self, high):
                raise UserError(f"{self.shown(low, high)}: nothing lies between; lower the first or raise the second")

    def shown(self, *names: str) -> str:
        """`--min-chars 200, ...` for a message; of a rule that is on, the option that switches it off."""
        return ", ".join(_option(name, getattr(self, name)) for name in names)


def _option(name: str, value: object) -> str:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--no-{option}" if value else f"--{option}"
    return f"--{option} {','.join(value) if isinstance(value, tuple) else value}"
