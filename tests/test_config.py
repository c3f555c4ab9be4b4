"""Profiles, their errors, and what makes two runs the same run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.config import EncoderConfig, Profile, RunConfig, identity, load_profile, profiles
from bench.errors import UserError, shown
from bench.suite import grid, suite
from tests.fakes import PROFILE, profile_file

GENERATOR = {"backend": "fake", "version": "1", "weights": "abc"}
SOURCES = {"method": "1234", "retriever": "5678"}


@pytest.mark.parametrize("name", ["tiny", "paper-7b", "paper-7b-3072", "paper-32b"])
def test_shipped_profiles_load(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert (profile.temperature, profile.top_p) == (0.8, 0.95)
    assert profile.metrics == ("rouge", "meteor", "bleu", "bertscore")
    assert sorted(profiles()) == ["micro", "paper-32b", "paper-7b", "paper-7b-3072", "tiny"]


def test_the_paper_s_setting() -> None:
    for name, size in (("paper-7b", 7), ("paper-32b", 32)):
        profile = load_profile(name)
        assert profile.llm == f"Qwen/Qwen2.5-{size}B-Instruct"
        assert (profile.k, profile.input_budget, profile.max_new_tokens) == (8, 2048, 2048)
        assert profile.retrieval_encoder == EncoderConfig("facebook/contriever", "mean", False, 512)
        assert profile.embedder.model == "BAAI/bge-m3"
        assert profile.options["bertscore"] == {"model": "allenai/led-base-16384", "layer": 6}


def test_a_profile_by_path_with_overrides(tmp_path: Path) -> None:
    profile = load_profile(
        str(profile_file(tmp_path)), {"temperature": 0, "engine.max_num_seqs": 3, "embedder.max_tokens": 5}
    )
    assert profile.name == "fake"
    assert profile.sampling.temperature == 0
    assert profile.sampling.max_new_tokens == 12
    assert profile.engine == {"max_num_seqs": 3}
    assert (profile.embedder.max_tokens, profile.retrieval_encoder.max_tokens) == (5, 16)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tinny",
            r"^no profile 'tinny'; did you mean 'tiny'\? Known: micro, paper-32b, paper-7b, paper-7b-3072, tiny$",
        ),
        ("nowhere/p.toml", r"^profile file nowhere/p\.toml does not exist; check the path"),
        ("", r"^no profile ''"),
    ],
)
def test_unknown_profiles(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_profile(name)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("k = 2", "k = -1"), r"^profile .*/fake\.toml, k = -1: .*greater than or equal to 0$"),
        (("k = 2", "k = 2.5"), r"^profile .*/fake\.toml, k = 2.5: "),
        (("k = 2", "kk = 2"), r"^profile .*/fake\.toml, kk = 2: Extra inputs are not permitted$"),
        (("k = 2", "k = 2\ntop_p = 0"), r"^profile .*/fake\.toml, top_p = 0: "),
        (("k = 2", "k = 2\ntemperature = inf"), r"^profile .*/fake\.toml, temperature = inf: .*finite"),
        (("k = 2", "k = 2\ndtype = 'int8'"), r"^profile .*/fake\.toml, dtype = 'int8': .*'float32'"),
        (("k = 2", 'name = "x"'), r"^profile .*/fake\.toml: .*'name'"),
        (('llm = "none"', ""), r"^profile .*/fake\.toml, llm: Field required$"),
        (('pooling = "mean"', 'pooling = "max"'), r"^profile .*/fake\.toml, retrieval_encoder.pooling = 'max': "),
        (("normalize = false", ""), r"^profile .*/fake\.toml, retrieval_encoder.normalize: "),
        (
            ("normalize = false", "normalize = false\nbatch = 3"),
            r"^profile .*/fake\.toml, retrieval_encoder.batch = 3: ",
        ),
        (('metrics = ["rouge", "bleu"]', 'metrics = "rouge"'), r"^profile .*/fake\.toml, metrics = 'rouge': "),
        (("k = 2", "k = "), r"fake\.toml: .*line 3"),
        (("k = 2", "k = 2\nk = 3"), r"fake\.toml: Cannot overwrite a value \(at line 4"),
        (("max_tokens = 16\n\n[embedder]", "max_tokens"), r"fake\.toml: .*\(at line 12"),
        (("normalize = true\nmax_tokens = 16\n", "x = ["), r"fake\.toml: .*\(at the end, line 17\)"),
    ],
)
def test_a_mistake_in_a_profile_is_one_line_with_its_key(tmp_path: Path, edit: tuple[str, str], message: str) -> None:
    path = profile_file(tmp_path, PROFILE.replace(*edit))
    with pytest.raises(UserError, match=message) as error:
        load_profile(str(path))
    assert "\n" not in str(error.value)


def test_a_profile_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(b"k = 2\ntitle = '\xff'")
    with pytest.raises(UserError, match=r"p\.toml: line 2 is no UTF-8 .*decode"):
        load_profile(str(path))


def test_a_folder_or_a_device_is_refused_as_profile_and_as_suite(tmp_path: Path) -> None:
    folder, pipe, device = tmp_path / "folder.toml", tmp_path / "pipe.toml", tmp_path / "device.toml"
    folder.mkdir()
    os.mkfifo(pipe)
    device.symlink_to(os.devnull)
    for path in (folder, pipe, device, Path(os.devnull)):
        for read in (load_profile, suite.load):
            with pytest.raises(UserError, match=rf"^{path} is a .+, not a file; name a TOML file$"):
                read(str(path))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("engine.api_key", "hunter2", "api_key"),
        ("engine.hf_token", "anything", "hf_token"),
        ("engine.access_token", "anything", "access_token"),
        ("engine.client_secret", "anything", "client_secret"),
        ("engine.password", 123456, "password"),
        ("engine.hf_overrides", {"token": "anything"}, "hf_overrides.token"),
        ("engine.hf_overrides", [{"a": {"password": "x"}}], "hf_overrides.a.password"),
        ("engine.tokenizer", "sk-secret123", "tokenizer"),
        ("engine.tokenizer", "hf_abcdefghijklmnopqrstuv", "tokenizer"),
        ("options.judge.api_key", "hunter2", "judge.api_key"),
    ],
)
def test_a_secret_is_refused_and_not_shown(key: str, value: Any, named: str) -> None:
    table = key.partition(".")[0]
    with pytest.raises(
        UserError, match=rf"^profile tiny, {table}: {re.escape(named)} would be kept with every"
    ) as error:
        load_profile("tiny", {key: value})
    assert not re.search("anything|hunter2|123|abcdef", str(error.value))


def test_names_that_only_sound_like_secrets_are_allowed() -> None:
    engine = {
        "max_num_batched_tokens": 8, "tokenizer": "org/sk-learn", "hf_token": True, "spec_tokens": 3,
        "hf_overrides": {"eos_token": "</s>", "pad_token_id": 0}, "long_prefill_token_threshold": 4, "seed": None,
    }  # fmt: skip
    assert load_profile("tiny", {"engine": engine}).engine == engine


@pytest.mark.parametrize(
    "key", ["sk-secret123", "sk-proj-0123456789abcdef", "hf_abcdefghijklmnopqrstuv", "0123456789abcdef" * 3]
)
def test_a_refused_value_that_looks_like_a_key_is_not_shown(key: str) -> None:
    for refuse in (
        lambda: load_profile("tiny", {"temperature": key}),
        lambda: load_profile("tiny", {"train.lr": [key]} if key.startswith("sk") else {"train.lr": key}),
        lambda: load_profile("tiny", {"temperature.x": key}),
        lambda: registry.create("retriever", "bm25", {"k1": key}),
        lambda: grid.settings([key]),
    ):
        with pytest.raises(UserError, match=r"\*\*\* \(it looks like a key\)") as error:
            refuse()
        assert key[5:] not in str(error.value)
    assert shown("org/model-7b") == "'org/model-7b'"


def test_a_profile_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(PROFILE.replace("Nothing real", "Größe").encode())
    assert load_profile(str(path)).title == "Größe"


def test_an_override_below_a_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--set temperature\.x=1: 'temperature' is a value, not a table"):
        load_profile("tiny", {"temperature.x": 1})


# ---------------------------------------------------------------- identity


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return RunConfig(
        method="rag",
        method_options={"order": "rank"},
        retriever="bm25",
        retriever_options={"k1": 1.5},
        k=4,
        data="data/music",
        data_fingerprint="fff",
        seed=1,
        profile=load_profile(str(profile_file(tmp_path))),
    )


def name(config: RunConfig, **changes: Any) -> str:
    parts: dict[str, Any] = {"generator": GENERATOR, "sources": SOURCES, **changes}
    return identity(config, **parts)


def with_profile(config: RunConfig, **changes: Any) -> RunConfig:
    profile = Profile(**{**config.profile.model_dump(), **changes})
    return config.model_copy(update={"profile": profile})


@pytest.mark.parametrize(
    "change",
    [
        {"method": "nonperso"},
        {"method_options": {"order": "chronological"}},
        {"method_options": {"order": "rank", "new": None}},
        {"retriever": "recency"},
        {"retriever_options": {"k1": 1.4}},
        {"k": 3},
        {"data_fingerprint": "ffe"},
        {"split": "val"},
        {"limit": 10},
        {"limit_seed": 1},
        {"seed": 2},
        {"generator": "transformers"},
        {"deterministic": True},
    ],
)
def test_what_makes_another_run(config: RunConfig, change: dict[str, Any]) -> None:
    assert name(config.model_copy(update=change)) != name(config)


@pytest.mark.parametrize(
    "change",
    [
        {"llm": "other"},
        {"revision": "v2"},
        {"dtype": "float32"},
        {"input_budget": 201},
        {"max_new_tokens": 13},
        {"temperature": 0.0},
        {"top_p": 0.9},
        {"engine": {"max_num_seqs": 2}},
        {"chat_template": "plain"},
        {"chat_template": "{{ messages }}"},
        {"chat_kwargs": {"enable_thinking": False}},
        {"stop": ("###",)},
    ],
)
def test_what_in_a_profile_makes_another_run(config: RunConfig, change: dict[str, Any]) -> None:
    assert name(with_profile(config, **change)) != name(config)


def test_weights_and_sources_make_another_run(config: RunConfig) -> None:
    names = {
        name(config),
        name(config, generator={**GENERATOR, "weights": "abd"}),
        name(config, sources={**SOURCES, "method": "1235"}),
        name(config, sources={**SOURCES, "encoder": "e"}),
    }
    assert len(names) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"title": "Other words"},
        {"metrics": ("rouge",)},
        {"options": {"bertscore": {"layer": 3}}},
        {"k": 7},
        {"embedder": EncoderConfig("other", "mean", False, 4)},
        {"retrieval_encoder": EncoderConfig("other", "mean", False, 4)},
        {"fitted": ("max_new_tokens",)},
        {"chat_template": None, "chat_kwargs": {}, "stop": ()},
    ],
)
def test_what_changes_no_text_changes_no_identity(config: RunConfig, change: dict[str, Any]) -> None:
    assert name(with_profile(config, **change)) == name(config)


def test_the_same_data_under_another_path_is_the_same_run(config: RunConfig) -> None:
    assert name(config.model_copy(update={"data": "/elsewhere/music"})) == name(config)


def test_a_config_survives_its_file(config: RunConfig) -> None:
    again = RunConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert name(again) == name(config)


def test_labels_of_run_folders(config: RunConfig) -> None:
    assert config.label == "music-rag-bm25-k4-seed1"
    alone = config.model_copy(update={"method": "nonperso", "retriever": None, "k": 0})
    assert alone.label == "music-nonperso-seed1"


# ---------------------------------------------------------------- base


def test_a_profile_stands_on_its_base() -> None:
    ours, base = load_profile("paper-7b-3072"), load_profile("paper-7b")
    assert (ours.name, ours.input_budget, base.input_budget) == ("paper-7b-3072", 3072, 2048)
    assert ours.stage_budget == base.stage_budget == 8192
    assert ours.model_dump(exclude={"name", "title", "input_budget"}) == base.model_dump(
        exclude={"name", "title", "input_budget"}
    )
    lines = [line for line in profiles()["paper-7b-3072"].read_text().splitlines() if not line.startswith("#")]
    assert [line.partition(" ")[0] for line in lines] == ["base", "title", "input_budget"]


def test_tables_of_a_profile_are_added_to_those_of_its_base(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'base = "tiny"\ntitle = "Mine"\n[engine]\nmax_model_len = 4096\n[train]\nlr = 0.5\n'
        "[options.bertscore]\nlayer = 3\n[options.judge]\nmax_chars = 9\n"
    )
    (tmp_path / "further.toml").write_text('base = "mine.toml"\nk = 2\n[engine]\nenforce_eager = false\n')
    tiny, mine, further = (
        load_profile(name) for name in ("tiny", *(str(tmp_path / f"{n}.toml") for n in ("mine", "further")))
    )
    assert mine.engine == {**tiny.engine, "max_model_len": 4096}
    assert mine.train == tiny.train.model_copy(update={"lr": 0.5})
    own = {"bertscore": {**tiny.options["bertscore"], "layer": 3}, "judge": {"max_chars": 9}}
    assert mine.options == {**tiny.options, **own}
    assert (further.k, further.title, further.embedder) == (2, "Mine", tiny.embedder)
    assert further.engine == {**mine.engine, "enforce_eager": False}
    assert load_profile(str(tmp_path / "mine.toml"), {"engine.max_model_len": 7}).engine["max_model_len"] == 7


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ('"mine.toml"', r"base = 'mine.toml' leads back to itself \(mine.toml -> mine.toml\)"),
        (
            '"other.toml"',
            r"other.toml: base = 'mine.toml' leads back to itself \(mine.toml -> other.toml -> mine.toml\)",
        ),
        (
            '"paper-8b"',
            "base = 'paper-8b' is no file beside it and none of micro, paper-32b, paper-7b, paper-7b-3072, tiny;",
        ),
        ('"folder"', "base = 'folder' is no file beside it"),
        ("3", "base = 3; give the name of a profile"),
        ('""', "base = ''; give the name of a profile"),
        ('"broken.toml"', "profile .*broken.toml: .*line 1"),
    ],
)
def test_a_base_that_is_none_is_one_line(tmp_path: Path, base: str, says: str) -> None:
    (tmp_path / "mine.toml").write_text(f"base = {base}\n")
    (tmp_path / "other.toml").write_text('base = "mine.toml"\n')
    (tmp_path / "broken.toml").write_text("= 3\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=says) as error:
        load_profile(str(tmp_path / "mine.toml"))
    assert len(str(error.value).splitlines()) == 1


def test_what_the_file_lacks_may_be_given_by_hand_or_by_the_base(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "tiny"\nno_such_key = 1\n')
    with pytest.raises(UserError, match="no_such_key"):
        load_profile(str(tmp_path / "mine.toml"))


# ---------------------------------------------------------------- how a model is spoken to, and what a file leaves open

LEAST = 'title = "Mine"\nllm = "none"\nmetrics = ["rouge"]\n'


def least(folder: Path, more: str = "") -> str:
    (folder / "mine.toml").write_text(LEAST + more)
    return str(folder / "mine.toml")


def test_identities_of_profiles_that_say_nothing_of_it_stay_as_they_were(config: RunConfig) -> None:
    assert config.profile.chat == {}
    assert name(config) == "0d4fd5c8825dcde35b4793a2688caad6c03171379c668983ef81434c269286a9"


def test_a_chat_template_is_a_name_a_text_or_a_file_beside_the_profile(tmp_path: Path) -> None:
    text = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    (tmp_path / "mine.jinja").write_text(text)
    (tmp_path / "base").mkdir()
    assert load_profile(least(tmp_path, 'chat_template = "mine.jinja"')).chat_template == text
    (tmp_path / "base" / "top.toml").write_text('base = "../mine.toml"')
    assert load_profile(str(tmp_path / "base" / "top.toml")).chat_template == text
    assert load_profile(least(tmp_path), {"chat_template": str(tmp_path / "mine.jinja")}).chat_template == text
    assert load_profile(least(tmp_path), {"chat_template": text}).chat_template == text
    plain = load_profile(least(tmp_path, 'chat_template = "plain"'))
    assert (plain.chat_template, plain.chat) == ("plain", {"chat_template": "plain"})
    digest = load_profile(least(tmp_path), {"chat_template": text}).chat["chat_template"]
    assert re.fullmatch("[0-9a-f]{64}", digest)


def test_stop_strings_are_one_or_several(tmp_path: Path) -> None:
    assert load_profile(least(tmp_path, 'stop = "###"')).stop == ("###",)
    assert load_profile(least(tmp_path), {"stop": ["a", "b"]}).chat == {"stop": ["a", "b"]}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('chat_template = "gone.jinja"', r"chat_template 'gone.jinja': .*gone.jinja does not exist; name a file, give"),
        ('chat_template = "folder"', r"chat_template 'folder': .*folder cannot be read; name a file, give"),
        ('chat_template = ""', r"chat_template = '': String should have at least 1 character"),
        ("chat_template = 3", r"chat_template = 3: Input should be a valid string"),
        ('stop = [""]', r"stop.0 = '': String should have at least 1 character"),
        ("chat_kwargs = 3", r"chat_kwargs = 3: Input should be a valid dictionary"),
        ("chat_kwargs = { messages = 3 }", r"chat_kwargs: messages is none of the template's own variables; leave"),
        ('chat_kwargs = { api_key = "x" }', r"chat_kwargs: api_key would be kept with every run"),
        ('fitted = ["k"]', r"multiple values for keyword argument 'fitted'"),
    ],
)
def test_what_cannot_be_said_to_a_model_is_one_line(tmp_path: Path, more: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=message) as caught:
        load_profile(least(tmp_path, more))
    assert "\n" not in str(caught.value)


def test_values_that_fit_stand_where_neither_file_nor_settings_give_one(tmp_path: Path) -> None:
    fitting = {"max_new_tokens": 256, "dtype": "float32", "engine.enforce_eager": True}
    open_ = load_profile(least(tmp_path), fitting=fitting)
    assert (open_.max_new_tokens, open_.dtype, open_.engine) == (256, "float32", {"enforce_eager": True})
    assert open_.fitted == ("max_new_tokens", "dtype", "engine.enforce_eager")
    said = least(tmp_path, 'dtype = "auto"\n[engine]\nenforce_eager = false\nmax_num_seqs = 2')
    closed = load_profile(said, {"max_new_tokens": 9}, fitting=fitting)
    assert (closed.max_new_tokens, closed.dtype, closed.fitted) == (9, "auto", ())
    assert closed.engine == {"enforce_eager": False, "max_num_seqs": 2}
    assert load_profile(least(tmp_path)).max_new_tokens == 2048


def test_every_shipped_profile_but_the_paper_s_says_all_that_a_cpu_asks(tmp_path: Path) -> None:
    fitting = {"max_new_tokens": 256, "dtype": "float32", "engine.enforce_eager": True}
    assert {name: load_profile(name, fitting=fitting).fitted for name in ("micro", "tiny")} == {"micro": (), "tiny": ()}
    assert load_profile("paper-7b", fitting=fitting).fitted == ("engine.enforce_eager",)
