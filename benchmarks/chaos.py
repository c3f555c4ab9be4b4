"""Kills a real small grid at random moments and compares its end with an unbroken one: `make chaos`.

The grid trains a method, then writes and scores it and three others. It uses the real engine with one request at a
time, so that its texts repeat. First it runs once unbroken. Then the same command starts in another folder, and at a
random moment of a random phase one of its processes gets a SIGKILL: the command itself, the engine or the trainer. The
same command starts again, until it ends by itself. Then the next folder begins, until there were enough kills.

Prints which process was killed when, and for each folder what was lost, made twice or left behind in comparison with
the unbroken run. Exit code 1 if anything was.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.generate.engine import reaper
from benchmarks import endstate
from benchmarks.chaos_grid import LIVES_IN, PATIENCE, PHASES, VICTIMS, Command, grid
from benchmarks.endstate import Difference

LONGEST = 3600  # seconds for any command
TRACEBACK = "Traceback (most recent call last)"


@dataclass
class Tally:
    """Counts of what happened in one folder, over all starts of its command."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)  # (victim, phase)
    starts: int = 0
    lost: int = 0  # completed requests that were gone at the next start
    again: int = 0  # completed requests that were generated once more
    left: int = 0  # processes
    tracebacks: int = 0
    unclear: int = 0  # ends other than exit code 0, or 1 with one line of ours
    seconds: float = 0.0
    parts: dict[str, Difference] = field(default_factory=dict)

    @property
    def flaws(self) -> int:
        differing = sum(str(difference) != "equal" for difference in self.parts.values())
        return self.lost + self.again + self.left + self.tracebacks + self.unclear + differing


def disturb(command: Command, usual: dict[str, float], chance: random.Random) -> tuple[str, str] | None:
    """Kills a random victim at a random moment of a phase it lives in: (victim, phase), or None if it ended first.

    Kills the command where the victim no longer runs: a method that is trained is not trained again.
    """
    victim = chance.choice([one for one in VICTIMS if usual.keys() & set(LIVES_IN[one])])
    phase = chance.choice([one for one in LIVES_IN[victim] if one in usual])
    delay = usual[phase] * chance.random() ** 2  # mostly early, so that most kills hit unfinished work
    if not command.reaches(phase) or command.wait(delay) is not None:
        return None
    while victim not in (found := command.processes()) and command.phase == phase and command.wait(0.05) is None:
        continue  # it is about to start
    if victim not in found:
        victim = "command"
    now = command.phase
    try:
        os.kill(chance.choice(found[victim]), signal.SIGKILL)
    except ProcessLookupError:
        return None
    return victim, now


def round_of_kills(
    arguments: list[str], out: Path, usual: dict[str, float], chance: random.Random, kills: int
) -> Tally:
    """Starts the command again and again until it ends by itself; kills it until there were `kills` kills."""
    tally, begin = Tally(), time.monotonic()
    while True:
        before = endstate.read(out)
        command = Command([*arguments, "--out", str(out)])
        tally.starts += 1
        kill = disturb(command, usual, chance) if tally.kills.total() < kills else None
        code = command.wait(PATIENCE if kill else LONGEST)
        if kill:
            tally.kills[kill] += 1
            print(f"  kill {tally.kills.total()}: {kill[0]} in {kill[1]}; exit code {code}", flush=True)
        _judge(tally, command, kill, code)
        _look(tally, out, before)
        if code != -signal.SIGKILL and not (kill and code == 1):
            break
    tally.seconds = time.monotonic() - begin
    return tally


def _judge(tally: Tally, command: Command, kill: tuple[str, str] | None, code: int | None) -> None:
    """How the command ended: killed, done, or with one line that says why not."""
    left = command.left_behind()
    tally.left += len(left)
    tracebacks = sum(TRACEBACK in line for line in command.lines)
    tally.tracebacks += tracebacks
    killed = code == -signal.SIGKILL and kill is not None and kill[0] == "command"
    one_line = code == 1 and kill is not None and sum(line.startswith("bench: ") for line in command.lines) == 1
    if not (killed or one_line or code == 0):
        tally.unclear += 1
    if left or tracebacks or not (killed or one_line or code == 0):
        print(f"  left behind {left}; exit code {code} after {kill}; it printed:")
        print(*(f"    | {line}" for line in command.lines), sep="\n", flush=True)


def _look(tally: Tally, out: Path, before: endstate.EndState) -> None:
    tally.lost += len(before.requests.keys() - endstate.stored(out).keys())
    tally.again += len(endstate.made_again(out, rows=before.rows.keys(), requests=before.requests.keys()))


def table(tallies: list[Tally]) -> str:
    """Kills by victim and phase, then one line per folder."""
    kills = sum((tally.kills for tally in tallies), Counter[tuple[str, str]]())
    lines = [f"{'kills of the':14}" + "".join(f"{phase:>14}" for phase in (*PHASES, "all"))]
    for victim in VICTIMS:
        row = [kills[victim, phase] for phase in PHASES]
        lines.append(f"{victim:14}" + "".join(f"{number:14}" for number in (*row, sum(row))))
    lines += ["", "folder  starts  kills  lost  made twice  left behind  tracebacks  unclear ends  seconds"]
    for number, tally in enumerate(tallies, 1):
        counts = (
            tally.starts,
            tally.kills.total(),
            tally.lost,
            tally.again,
            tally.left,
            tally.tracebacks,
            tally.unclear,
        )
        widths = (6, 5, 4, 10, 11, 10, 12)
        cells = "".join(f"  {count:{width}}" for count, width in zip(counts, widths, strict=True))
        lines.append(f"{number:6}{cells}  {tally.seconds:7.0f}")
        lines += [f"        {part}: {difference}" for part, difference in tally.parts.items()]
    return "\n".join(lines)


def chaos(generator: str, limit: int, kills: int, chance: random.Random, folder: Path) -> list[Tally]:
    """Runs the grid unbroken, then kills it in folder after folder until there were `kills` kills or a flaw."""
    arguments = grid(generator, limit)
    print("unbroken:", "bench", *arguments, flush=True)
    command = Command([*arguments, "--out", str(folder / "unbroken")])
    if code := command.wait():
        print(*command.lines, sep="\n")
        raise SystemExit(f"the unbroken run ended with {code}")
    unbroken = endstate.read(folder / "unbroken")
    usual = {phase: command.lasted[phase] for phase in PHASES if phase in command.lasted}
    print("seconds:", ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in usual.items()))
    print(
        f"{len(unbroken.rows)} rows, {len(unbroken.requests)} requests, {len(unbroken.steps)} training steps",
        flush=True,
    )
    tallies: list[Tally] = []
    while (left := kills - sum(tally.kills.total() for tally in tallies)) > 0:
        out = folder / f"broken-{len(tallies) + 1}"
        print(f"{out.name}:", flush=True)
        tally = round_of_kills(arguments, out, usual, chance, left)
        tally.parts = endstate.compare(unbroken, endstate.read(out))
        tallies.append(tally)
        if tally.flaws:
            break
    return tallies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of moments and victims")
    parser.add_argument("--generator", default="vllm", help="echo: no engine, for a quick look at the rest")
    parser.add_argument("--limit", type=int, default=6, help="samples a method")
    parser.add_argument("--keep", type=Path, help="a folder for the runs, to look at afterwards")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    reaper.start()  # if this process dies, the grid that it runs ends too
    with TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        tallies = chaos(options.generator, options.limit, options.kills, random.Random(options.seed), folder)
    print(table(tallies))
    flaws = sum(tally.flaws for tally in tallies)
    print(f"{flaws} flaws" if flaws else "every folder ended like the unbroken one")
    raise SystemExit(1 if flaws else 0)


if __name__ == "__main__":
    main()
