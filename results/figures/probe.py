"""The figure of `bench probe`: accuracy over K, a panel for each thing that is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results.figures import drawing
from results.tables.probe import FEATURES, Told

COLUMNS = 3


def save(rows: Sequence[Told], title: str, path: Path) -> None:
    """Writes an .svg, .png or .pdf file. Raises UserError where it cannot."""
    import matplotlib

    from results.figures import plots

    matplotlib.use("Agg")
    whats = list(dict.fromkeys(row.what for row in rows))
    columns = min(COLUMNS, len(whats))
    with matplotlib.rc_context(drawing.STYLE):
        figure, axes = drawing.panels(-(-len(whats) // columns), columns)
        flat = [ax for line in axes for ax in line]
        for ax in flat[len(whats) :]:
            ax.set_visible(False)
        for what, ax in zip(whats, flat, strict=False):
            for place, feature in enumerate(FEATURES):
                own = [row for row in rows if (row.what, row.feature) == (what, feature)]
                ks = [row.k for row in own]
                style: Any = {"color": drawing.colour(place), "marker": drawing.MARKERS[place]}
                ys = [row.accuracy for row in own]
                ax.plot(ks, ys, ls=drawing.DASHES[place], ms=4, lw=1.3, label=feature, **style)
                ax.fill_between(
                    ks, [row.low for row in own], [row.high for row in own], color=drawing.colour(place), alpha=0.13
                )
            ax.axhline(own[0].chance, color=drawing.KEPT, lw=0.8, ls=":", label="chance")
            ax.set_title(what)
            ax.set_xticks(ks)
            ax.set_xlabel("K")
            ax.set_ylim(0, 1)
        flat[0].set_ylabel("accuracy")
        flat[0].legend(fontsize=7)
        caption = f"{title}: what a linear probe tells from users' vectors; bands: 95 % over users"
        figure.suptitle(caption, **drawing.SMALL)
    plots.save([figure], path)
