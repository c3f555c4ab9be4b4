"""Encoders for metrics: who gets which, that vectors are stored, and models that bench cannot use."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.config import EncoderConfig, load_profile
from bench.context.prefetch import vector_store
from bench.embed.encoders import create
from bench.errors import UserError
from bench.score.encoding import Encoders, own
from metrics.identify import Identify
from metrics.responsive import Responsive
from metrics.rouge import Rouge
from tests.embed.folders import write_bert
from tests.fakes import bench, profile_file


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("models") / "bert")


def bound(metric: Any, folder: Path, bert: Path) -> Any:
    profile = load_profile(str(profile_file(folder)))
    profile = profile.model_copy(update={"embedder": EncoderConfig(str(bert), "mean", normalize=False, max_tokens=64)})
    Encoders().bind(metric, profile, out=folder / "runs")
    return metric


def test_a_metric_gets_the_encoders_of_its_scorers(tmp_path: Path, bert: Path) -> None:
    assert bound(Identify("delta"), tmp_path, bert).chosen.encoders == {}
    assert set(bound(Responsive("embedder"), tmp_path, bert).chosen.encoders) == {"embedder"}
    both = bound(Identify("embedder", model=str(bert), model_tokens=64), tmp_path, bert).chosen
    assert set(both.encoders) == {"embedder", "model"}
    first, second = both.versions().values()
    assert " raw 64 " in first
    assert " l2 64 " in second
    bound(Rouge(), tmp_path, bert)  # has no scorers


def test_vectors_are_kept_in_the_output_folders_store(tmp_path: Path, bert: Path) -> None:
    metric = bound(Responsive("embedder"), tmp_path, bert)
    metric.chosen.space().distances([("one text", "another")], ())
    encoder = create(EncoderConfig(str(bert), "mean", normalize=False, max_tokens=64))
    assert set(vector_store(tmp_path / "runs").vectors(encoder.identity(), ["one text", "another"])) == {
        "one text",
        "another",
    }


def test_a_model_is_pooled_by_the_mean_as_the_encoder_of_a_profile_is(bert: Path) -> None:
    config = own(str(bert), 64)
    vectors = create(config).encode(["one text"])
    plain = create(replace(config, normalize=False)).encode(["one text"])
    assert vectors[0] == pytest.approx(plain[0] / (plain[0] ** 2).sum() ** 0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"modules.json": [{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "1"}],
             "1/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}},
            "its vectors are made by pooling_mode_cls_token, and bench takes means",
        ),
        ({"modules.json": [{"type": "a.Transformer", "path": ""}, {"type": "a.Dense", "path": "2"}]}, "made by Dense"),
        ({"config.json": {"auto_map": {"AutoModel": "luar.LUAR"}}}, "brings code of its own, which bench does not run"),
    ],
)  # fmt: skip
def test_other_vectors_than_means_are_refused(files: dict[str, Any], said: str, tmp_path: Path, bert: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=said):
        bound(Identify(model=str(folder)), tmp_path, bert)


def test_means_of_sentence_transformers_are_taken(tmp_path: Path, bert: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    parts = [{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "1"}, {"type": "a.Normalize"}]
    (folder / "modules.json").write_text(json.dumps(parts))
    (folder / "1").mkdir()
    (folder / "1" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    assert "model" in bound(Identify(model=str(folder)), tmp_path, bert).chosen.encoders


def test_a_model_that_is_not_here_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("validity", "--data", "bundled", "--scorers", "delta", "--model", "some/encoder") == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("bench:")]
    assert "some/encoder" in line
