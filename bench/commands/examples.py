"""The examples at the end of every `--help`: words after `bench` -> commands that can be typed.

Placeholders in capitals are what the reader has: RUN is a run's name (`bench ls runs`), FILE.jsonl.gz a raw file.
"""

from __future__ import annotations

from textwrap import indent

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": ("bench run --method nonperso,rag --limit 6", "bench table --baseline nonperso", "bench doctor"),
    "run": (
        "bench run --method nonperso,rag,dpl --limit 6",
        "bench run --method rag --retriever bm25,recency -k 2,4 --seed 0,1 --limit 3",
        "bench run --method rag --set temperature=0 --set rag.order=chronological",
        "bench run --method dpl --data data/mine --profile my.toml --dry-run",
    ),
    "train": ("bench train --method dep --set train.lr=1e-4", "bench train --method soft,pplug --seed 0,1"),
    "grid": ("bench grid smoke", "bench grid my-suite.toml --limit 12 --dry-run"),
    "table": (
        "bench table",
        "bench table smoke --baseline nonperso --by uniqueness",
        "bench table --anchors --baseline nonperso",
        "bench table --costs --all",
        "bench table --format latex",
    ),
    "compare": ("bench compare dpl rag", "bench compare dpl rag --out other-runs --all"),
    "power": ("bench power", "bench power --method rag,dpl --difference 0.01", "bench power --baseline nonperso"),
    "metrics": ("bench metrics", "bench metrics smoke --all --baseline nonperso"),
    "judge": (
        "bench judge rag --against nonperso",
        "bench judge rag --against nonperso --base-url http://localhost:8000/v1",
        "bench judge rag --against nonperso --again",
    ),
    "swap": ("bench swap rag", "bench swap RUN --history random,similar --dry-run"),
    "plot": ("bench plot costs smoke --metric rouge1 --to costs.svg", "bench plot k-sweep --metric bleu"),
    "report": ("bench report", 'bench report smoke --baseline nonperso --to smoke.html --title "Smoke"'),
    "probe": ("bench probe", "bench probe --data bundled --users 10 -k 1,2"),
    "validity": ("bench validity --limit 60 --scorers delta", "bench validity --data data/mine --json"),
    "regress": ("bench regress my-baseline.json smoke --write", "bench regress my-baseline.json smoke"),
    "show": ("bench show RUN", "bench show RUN --sample SAMPLE_ID", "bench show RUN --provenance"),
    "score": (
        "bench score RUN --metric rouge,bleu",
        "bench score --metric judge --set judge.base_url=http://localhost:8000/v1",
    ),
    "verify": ("bench verify", "bench verify RUN"),
    "rm": ("bench rm RUN", "bench rm RUN --store --yes", "bench rm --store"),
    "ls": ("bench ls methods", "bench ls runs", "bench ls methods --plugin my.py"),
    "doctor": ("bench doctor",),
    "data": ("bench data stats --data mixed", "bench data world mixed --set users=50 --out data/small"),
    "data build": (
        "bench data build --reviews FILE.jsonl.gz --meta META.jsonl.gz \\\n    --category Music --out data/music",
        "bench data build --reviews FILE.parquet --meta META.parquet \\\n"
        "    --category Music --out data/music --min-user-reviews 6 --train-inputs 1",
    ),
    "data fetch": ("bench data fetch dpl",),
    "data import": (
        "bench data import FOLDER --out data/dpl",
        "bench data import FOLDER --layout lamp --out data/lamp",
    ),
    "data stats": ("bench data stats", "bench data stats --data data/mine"),
    "data validate": ("bench data validate", "bench data validate --data data/mine"),
    "data world": ("bench data world mixed --set users=50 --set items=60 --out data/small",),
    "models": ("bench models pull",),
    "models pull": ("bench models pull", "bench models pull --profile paper-7b"),
    "models make": ("bench models make micro --out micro",),
    "export": ("bench export samples --data mixed --limit 200 --to samples.jsonl",),
    "export samples": (
        "bench export samples --data mixed --limit 200 --to samples.jsonl",
        "bench export samples --data mixed --prompts rag --retriever bm25 -k 4 \\\n    --to prompts.jsonl.gz",
    ),
    "import": ('bench import predictions predictions.jsonl --limit 200 --name "My system"',),
    "import predictions": (
        'bench import predictions predictions.jsonl --limit 200 --name "My system"',
        "bench import predictions seed0.jsonl seed1.jsonl --seed 0,1 \\\n"
        '    --data data/mine --name "My system" --allow-missing',
    ),
}


def epilog(words: str) -> str:
    """The lines as typer prints them: the mark keeps it from joining them. KeyError for a command without any."""
    return "\n".join(("\b", "Examples:", *(indent(one, "  ") for one in EXAMPLES[words])))
