"""A model's folder that brings code: run where the user said so by name, and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.config import EncoderConfig, load_profile
from bench.embed.encoders import create
from bench.errors import BenchError, UserError
from bench.generate.engine.transformers import TransformersGenerator
from bench.generate.prompts.chat import ChatEncoder
from bench.record import runs
from metrics.bertscore import BertScore
from tests.fakes import World, bench, profile_file
from tests.generate.folders import SMOLLM, tokenizer_folder
from tests.paths import ROOT

pytestmark = pytest.mark.models

CODE = """\
from pathlib import Path
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
Path("MARK").touch()
class Config(PretrainedConfig):
    model_type = "brought"
class Model(PreTrainedModel):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "code-was-run"


@pytest.fixture
def folder(tmp_path: Path, mark: Path, require_assets: Callable[..., None]) -> Path:
    require_assets(SMOLLM)
    made = tokenizer_folder(
        tmp_path / "brought", auto_map={"AutoTokenizer": [None, "brought.Tokenizer"]}, tokenizer_class="Tokenizer"
    )
    (made / "brought.py").write_text(CODE.replace("MARK", str(mark)))
    classes = {"AutoConfig": "brought.Config", "AutoModel": "brought.Model", "AutoModelForCausalLM": "brought.Model"}
    (made / "config.json").write_text(json.dumps({"model_type": "brought", "auto_map": classes}))
    (made / "model.safetensors").write_bytes(b"")
    return made


def test_no_reader_runs_it(folder: Path, mark: Path, tmp_path: Path) -> None:
    profile = load_profile(str(profile_file(tmp_path)), {"llm": str(folder), "dtype": "float32"})
    readers: list[Callable[[], object]] = [
        lambda: ChatEncoder(str(folder)),
        lambda: TransformersGenerator(profile)._load(),
        lambda: create(EncoderConfig(str(folder), "mean", True, 16)).encode(["a"]),
        lambda: create(EncoderConfig(str(folder), "bge-m3", True, 16)).encode(["a"]),
        lambda: BertScore(model=str(folder)).versions(),
    ]
    for read in readers:
        with pytest.raises(BenchError) as error:
            read()
        assert "\n" not in str(error.value)
        assert not mark.exists()


def test_it_is_run_where_the_user_says_so(folder: Path, mark: Path, tmp_path: Path) -> None:
    """In a process of its own: the code is copied to a cache, and its module stays."""
    read = f"from bench.generate.prompts.chat import ChatEncoder; ChatEncoder({str(folder)!r}, trust_code=True)"
    here = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_MODULES_CACHE": str(tmp_path / "modules")}
    subprocess.run([sys.executable, "-c", read], cwd=ROOT, env=here, check=True, timeout=120, capture_output=True)
    assert mark.exists()


def test_the_code_is_part_of_what_the_model_is(folder: Path) -> None:
    from bench.models import assets

    before = assets.fingerprint(folder)
    (folder / "brought.py").write_text("other = 1")
    assert assets.fingerprint(folder) != before


def test_consent_is_recorded_and_nothing_else_is_consent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path)
    words = world.words("--generator", "echo")
    assert bench(*words, "--set", "engine.trust_remote_code=true") == 0
    assert world.folder().read(runs.CONFIG)["config"]["profile"]["engine"] == {"trust_remote_code": True}
    profile = str(world.profile)
    assert load_profile(profile, {"engine.trust_remote_code": True}).trusts_code
    for said in ("yes", "1", '"true"', "null", "[true]"):
        capfd.readouterr()
        assert bench(*words, "--set", f"engine.trust_remote_code={said}") == 2
        assert "engine: trust_remote_code is true or false" in capfd.readouterr().err
    assert not load_profile(profile).trusts_code
    assert not load_profile(profile, {"engine.trust_remote_code": False}).trusts_code
    with pytest.raises(UserError):
        load_profile(profile, {"trust_remote_code": True})
