"""A training from beginning to end, killed and resumed, with one process and with two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.errors import UserError
from bench.train import checkpoint as checkpoints
from bench.train import worker
from bench.train.checkpoint import MANIFEST, RESUME, STEPS, TRAINING, Checkpoint
from bench.train.launch import LOCKED
from tests.generate.folders import SMOLLM
from tests.paths import ROOT
from tests.train.toy import World
from tests.train.worker import Worker, forked

pytestmark = [pytest.mark.models, pytest.mark.slow]

STEPS_IN_ALL = 6  # 7 samples in batches of 3, two epochs


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, require_assets: Callable[..., None]) -> Iterator[World]:
    require_assets(SMOLLM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.BUILTIN["method"], "toy", "tests.train.toy:ToySoft")
        yield World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def unbroken(world: World) -> Checkpoint:
    checkpoint = world.checkpoint("unbroken", world.config())
    assert by_command(checkpoint) == 0
    return checkpoint


def start(checkpoint: Checkpoint, **environment: str) -> Worker:
    return forked(checkpoint.path, {"OMP_NUM_THREADS": "1", **environment})


def by_command(checkpoint: Checkpoint, *launcher: str) -> int:
    """The exit code of the worker's own command, as `bench` starts it."""
    command = [sys.executable, *launcher, "-m", "tests.train.worker", str(checkpoint.path)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode


def losses(checkpoint: Checkpoint) -> list[dict[str, float]]:
    keys = ("step", "epoch", "loss", "gen", "size", "grad_norm", "update", "lr", "tokens")
    return [{key: row[key] for key in keys} for row in checkpoint.folder.rows(STEPS)]


def final(checkpoint: Checkpoint) -> list[Any]:
    return [checkpoint.read_tensors(f"epoch-{epoch}.safetensors")[0] for epoch in (1, 2)]


def same(ours: list[Any], theirs: list[Any]) -> bool:
    return all(a.keys() == b.keys() and all(a[k].equal(b[k]) for k in a) for a, b in zip(ours, theirs, strict=True))


def test_a_training_ends_with_weights_of_every_epoch_and_says_what_it_was(unbroken: Checkpoint) -> None:
    rows = losses(unbroken)
    assert [row["step"] for row in rows] == list(range(1, STEPS_IN_ALL + 1))
    assert [row["epoch"] for row in rows] == [1, 1, 1, 2, 2, 2]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert [row["update"] > 0 for row in rows] == [row["lr"] > 0 for row in rows]
    for row in rows:
        assert row["loss"] == pytest.approx(row["gen"] + 0.5 * row["size"], rel=1e-6)
    about = unbroken.training
    assert about["space"] == {"vector_size": 64, "hidden_size": 64}
    assert about["trainable"] == 64 + 64 + 64
    assert (about["samples"], about["steps"], about["left_out"]) == (7, STEPS_IN_ALL, {})
    assert set(about["epochs"][0]) == {"epoch", "loss", "gen", "size", "grad_norm", "update", "seconds"}
    assert not (unbroken.path / RESUME).exists()
    assert not final(unbroken)[0]["marker"].equal(final(unbroken)[0]["everybody"])
    assert final(unbroken)[0]["marker"].equal(final(unbroken)[1]["marker"])  # frozen, and kept
    assert not final(unbroken)[0]["everybody"].equal(final(unbroken)[1]["everybody"])


@pytest.mark.parametrize("after", [1, 3, 5])
def test_killed_between_steps_it_ends_as_if_unbroken(world: World, unbroken: Checkpoint, after: int) -> None:
    checkpoint = world.checkpoint(f"killed-{after}", world.config())
    process = start(checkpoint)
    end = time.monotonic() + 240
    while len(list(checkpoint.folder.rows(STEPS))) < after and time.monotonic() < end:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert start(checkpoint).wait() == 0
    assert losses(checkpoint) == losses(unbroken)
    assert same(final(checkpoint), final(unbroken))


@pytest.mark.parametrize("save", [1, 3, 4, 5])
def test_killed_in_a_save_it_ends_as_if_unbroken(world: World, unbroken: Checkpoint, save: int) -> None:
    """Saves 3 and 4 are the weights of the first epoch and the state that belongs to them."""
    checkpoint = world.checkpoint(f"torn-{save}", world.config())
    assert start(checkpoint, DIE_IN_SAVE=str(save)).wait() == -signal.SIGKILL
    assert list(checkpoint.path.glob(".*.tmp"))
    assert not (checkpoint.path / TRAINING).exists()
    assert start(checkpoint).wait() == 0
    assert not list(checkpoint.path.glob(".*.tmp"))
    assert losses(checkpoint) == losses(unbroken)
    assert same(final(checkpoint), final(unbroken))


def test_two_processes_with_zero1_train_what_one_does(world: World, unbroken: Checkpoint) -> None:
    pytest.importorskip("deepspeed")
    checkpoint = world.checkpoint("two", world.config())
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert by_command(checkpoint, *launcher) == 0
    assert checkpoint.training["processes"] == 2
    for ours, theirs in zip(losses(checkpoint), losses(unbroken), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    for mine, other in zip(final(checkpoint), final(unbroken), strict=True):
        assert all(mine[key].allclose(other[key], atol=1e-5) for key in other)


def test_several_samples_a_pass_train_what_one_a_pass_does(world: World, unbroken: Checkpoint) -> None:
    checkpoint = world.checkpoint("alone", world.config(micro_tokens=1))
    assert start(checkpoint).wait() == 0
    for ours, theirs in zip(losses(checkpoint), losses(unbroken), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_truncated_state_is_one_line(world: World, unbroken: Checkpoint) -> None:
    checkpoint = world.checkpoint("damaged", world.config())
    whole = (unbroken.path / "epoch-1.safetensors").read_bytes()
    for share in (0.0, 0.1, 0.97):
        (checkpoint.path / RESUME).write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError, match=r"resume\.safetensors cannot be read .*train again"):
            checkpoint.read_tensors(RESUME)
    assert "resume.safetensors cannot be read" in refused(checkpoint)


def test_a_manifest_without_a_configuration_is_one_line(world: World) -> None:
    checkpoint = world.checkpoint("odd", world.config())
    about = checkpoint.folder.read(MANIFEST)
    for config in (None, [1], {}, {"method": "soft"}, {**about["config"], "k": "four"}):
        checkpoint.folder.write(MANIFEST, {**about, "config": config})
        with pytest.raises(UserError, match=r"manifest\.json, config: .*; delete .* and train again"):
            _ = Checkpoint(checkpoint.path).config
    checkpoint.folder.write(MANIFEST, {key: value for key, value in about.items() if key != "config"})
    assert "manifest.json, config: " in refused(checkpoint)


def test_a_step_that_is_none_is_named(world: World) -> None:
    checkpoint = world.checkpoint("step", world.config())
    (checkpoint.path / STEPS).write_text('{}\n{"step": 1, "epoch": 1, "tokens": 5, "seconds": 1, "loss": 2}\n')
    with pytest.raises(UserError, match=r"steps\.jsonl, line 1: step: Field required; delete .* and run again"):
        list(checkpoint.folder.rows(STEPS))


def refused(checkpoint: Checkpoint) -> str:
    """The one line that a worker prints when it gives up."""
    said = checkpoint.path.parent / "stderr.txt"
    said.unlink(missing_ok=True)
    code = forked(checkpoint.path, {"OMP_NUM_THREADS": "1"}, stderr=said).wait()
    err = said.read_text()
    assert code == 2, err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("bench: ")]
    return line


def test_a_full_disk_is_one_line_and_with_room_the_training_goes_on(world: World, unbroken: Checkpoint) -> None:
    checkpoint = world.checkpoint("full", world.config())
    manifest = (checkpoint.path / MANIFEST).read_bytes()

    def mount(*words: str) -> None:
        done = subprocess.run(["mount", *words, str(checkpoint.path)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")

    mount("-t", "tmpfs", "-o", "size=12k", "tmpfs")
    try:
        (checkpoint.path / MANIFEST).write_bytes(manifest)
        assert "No space left on device" in refused(checkpoint)
        mount("-o", "remount,size=20k")
        assert "o space left on device" in refused(checkpoint)
        mount("-o", "remount,size=9m")
        assert start(checkpoint).wait() == 0
        assert losses(checkpoint) == losses(unbroken)
        assert same(final(checkpoint), final(unbroken))
    finally:
        subprocess.run(["umount", "--lazy", str(checkpoint.path)], check=True)


def test_a_worker_started_by_hand_takes_the_lock(world: World, tmp_path: Path) -> None:
    checkpoint = world.checkpoint("by-hand", world.config())
    with checkpoint.folder.locked():
        log = tmp_path / "stderr"
        assert forked(checkpoint.path, {}, stderr=log).wait() == 2
        assert "another bench is working on" in log.read_text()
        assert not checkpoint.trained
        assert forked(checkpoint.path, {LOCKED: str(checkpoint.path)}).wait() == 0  # whose starter has it
    assert checkpoint.trained
    assert forked(checkpoint.path, {}, stderr=log).wait() == 2
    assert "is trained already; delete it to train it again" in log.read_text()


@pytest.mark.parametrize(("rank", "does"), [("0", ["embed", "join"]), ("1", ["wait", "join"])])
def test_texts_are_embedded_before_the_ranks_join(
    rank: str, does: list[str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A barrier gives up after minutes, and embedding takes hours."""
    done: list[str] = []

    def joined() -> None:
        done.append("join")
        raise KeyboardInterrupt

    checkpoint = world.checkpoint(f"joined-{rank}", world.config())
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr("bench.train.ranks.join", joined)
    monkeypatch.setattr("bench.context.prefetch.embed", lambda *args, **more: done.append("embed"))
    monkeypatch.setattr("bench.embed.store.AwaitedVectors.embed", lambda self, texts: done.append("wait"))
    with pytest.raises(KeyboardInterrupt):
        worker.main(checkpoint.path)
    assert done == does


def test_how_the_model_is_spoken_to_decides_a_checkpoint_and_where_it_stops_does_not(world: World) -> None:
    config = world.config()

    def spec(**chat: object) -> dict[str, object]:
        return checkpoints.spec(config.model_copy(update={"profile": config.profile.model_copy(update=chat)}))

    assert not {"chat_template", "chat_kwargs", "stop"} & spec().keys()  # as before there were such keys
    assert spec(stop=("###",)) == spec()
    assert spec(chat_template="plain") == {**spec(), "chat_template": "plain"}
    assert spec(chat_kwargs={"enable_thinking": False}) == {**spec(), "chat_kwargs": {"enable_thinking": False}}
