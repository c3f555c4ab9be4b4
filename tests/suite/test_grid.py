"""Words of the command line to cells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench.config import RunConfig
from bench.data.corpus import Corpus
from bench.errors import UserError
from bench.generate.engine.echo import EchoGenerator
from bench.suite import grid
from tests import fakes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a,b", ["a", "b"]), (" a , b ,", ["a", "b"]), ("a", ["a"]), ("a,a,b,a", ["a", "b"]), ("", []), (" , ", [])],
)
def test_words(text: str, expected: list[str]) -> None:
    assert grid.comma_list(text) == expected


def test_integers() -> None:
    assert grid.integers("2, 0,2,02", option="-k") == [2, 0]
    for text in ("x", "1.5", "-1", "1,-1", "", ",", "1 2"):
        with pytest.raises(UserError, match=rf"^-k {re.escape(repr(text))}: .*like -k 0,1,2$"):
            grid.integers(text, option="-k")


def test_names() -> None:
    assert grid.named("rag, nonperso", "method") == ["rag", "nonperso"]
    assert set(grid.named("all", "retriever")) >= {"recency", "random", "bm25", "contriever"}
    with pytest.raises(UserError, match=r"^--method '' names no method; name some, or all: .*rag"):
        grid.named("", "method")


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("a=1", {"a": 1}),
        ("a=1.5", {"a": 1.5}),
        ("a=true", {"a": True}),
        ("a=null", {"a": None}),
        ("a=[1, 2]", {"a": [1, 2]}),
        ("a=chronological", {"a": "chronological"}),
        ("a.b=", {"a.b": ""}),
        ("a=b=c", {"a": "b=c"}),
    ],
)
def test_settings(pair: str, expected: dict[str, Any]) -> None:
    assert grid.settings([pair]) == expected


@pytest.mark.parametrize("pair", ["a", "", "=1", "="])
def test_settings_that_are_none(pair: str) -> None:
    with pytest.raises(UserError, match=rf"^--set {re.escape(repr(pair))}: key=value is expected"):
        grid.settings([pair])


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return fakes.corpus(tmp_path / "data")


@pytest.fixture
def cells(corpus: Corpus, tmp_path: Path) -> Any:
    path = str(fakes.profile_file(tmp_path))

    def expand(**changes: Any) -> list[RunConfig]:
        words: dict[str, Any] = {
            "data": "toy", "methods": ["rag"], "retrievers": ["recency"], "ks": None, "seeds": [0], "profile": path,
            "set_values": {}, "generator": "echo",
        }  # fmt: skip
        return grid.expand(corpus, **{**words, **changes})

    return expand


def shown(configs: list[RunConfig]) -> list[tuple[str, str | None, int, int]]:
    return [(config.method, config.retriever, config.k, config.seed) for config in configs]


def test_every_combination_once_and_methods_without_retriever_once_a_seed(cells: Any) -> None:
    configs = cells(methods=["nonperso", "rag"], retrievers=["bm25", "random"], ks=[0, 4], seeds=[5, 6])
    assert shown(configs) == [
        ("nonperso", None, 0, 5),
        ("nonperso", None, 0, 6),
        *(("rag", retriever, k, seed) for retriever in ("bm25", "random") for k in (0, 4) for seed in (5, 6)),
    ]


def test_a_cell_holds_every_option_and_the_profile_s_k(cells: Any, corpus: Corpus) -> None:
    (config,) = cells(retrievers=["bm25"])
    assert config.k == 2
    assert config.method_options == {"order": "rank"}
    assert config.retriever_options == {"fields": "dpl", "lowercase": False, "k1": 1.5, "b": 0.75, "epsilon": 0.25}
    assert config.data_fingerprint == corpus.fingerprint


def test_settings_go_to_plugs_metrics_and_profile(cells: Any) -> None:
    values = {
        "rag.order": "chronological", "bm25.k1": "1.2", "bertscore.layer": 3, "temperature": 0, "k": 3, "engine.x": 1,
    }  # fmt: skip
    configs = cells(retrievers=["bm25", "recency"], set_values=values)
    assert [config.method_options for config in configs] == [{"order": "chronological"}] * 2
    assert configs[0].retriever_options["k1"] == 1.2
    assert configs[1].retriever_options == {}
    profile = configs[0].profile
    assert (profile.options, profile.temperature, profile.engine) == ({"bertscore": {"layer": 3}}, 0.0, {"x": 1})
    assert [config.k for config in configs] == [3, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["rga"]}, r"^no method 'rga'; did you mean 'rag'\? Known: .*nonperso.*rag"),
        ({"retrievers": ["bm52"]}, r"^no retriever 'bm52'; did you mean 'bm25'\?"),
        ({"generator": "vlm"}, r"^no generator 'vlm'; did you mean 'vllm'\?"),
        ({"set_values": {"metrics": ["rogue"]}}, r"^no metric 'rogue'; did you mean 'rouge'\?"),
        ({"set_values": {"options.bertscor.layer": 3}}, r"^no metric 'bertscor'; did you mean 'bertscore'\?"),
        ({"set_values": {"temprature": 0}}, r"^no setting 'temprature'; did you mean 'temperature'\?"),
        ({"set_values": {"title": "x"}}, r"^no setting 'title'"),
        ({"set_values": {"bm25.k1": 1}}, r"^--set bm25\.k1 needs --retriever bm25, which is not in this grid"),
        ({"set_values": {"dpl.released": 1}}, r"^--set dpl\.released needs --method dpl, which is not in this grid"),
        ({"set_values": {"dpl.relesed": 1}}, r"^no option of method 'dpl' 'relesed'; did you mean 'released'"),
        ({"set_values": {"bm52.k1": 1}}, r"^no setting 'bm52\.k1'; did you mean 'bm25\.k1'\? .*rag\.order"),
        ({"set_values": {"rag.": 1}}, r"^no setting 'rag.'"),
        ({"set_values": {"rag.ordre": "rank"}}, r"^no option of method 'rag' 'ordre'; did you mean 'order'\?"),
        ({"set_values": {"rag.order": "newest"}}, r"^rag.order='newest': .*'rank' or 'chronological'"),
        ({"set_values": {"temperature": "warm"}}, r"^profile .*fake\.toml, temperature = 'warm': "),
        ({"set_values": {"k.x": 1}}, r"^--set k.x=1: 'k' is a value"),
        ({"set_values": {"retrieval_encoder.batch": 1}}, r"^profile .*fake\.toml, retrieval_encoder.batch = 1: "),
        ({"limit": 0}, r"^--limit 0 leaves no sample"),
        ({"limit": -3}, r"^--limit -3 leaves no sample"),
        ({"profile": "tinny"}, r"^no profile 'tinny'; did you mean 'tiny'"),
    ],
)
def test_what_cannot_be_is_one_line(cells: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        cells(**change)
    assert "\n" not in str(error.value)


def test_the_released_dpl_brings_its_retriever(cells: Any) -> None:
    found = cells(methods=["rag", "dpl"], set_values={"dpl.released": True, "bm25.lowercase": True})
    assert [(config.method, config.retriever) for config in found] == [("rag", "recency"), ("dpl", "bm25")]
    assert found[1].retriever_options["lowercase"] is True


def test_an_option_of_a_retriever_that_no_cell_uses_is_no_setting(cells: Any) -> None:
    with pytest.raises(UserError, match=r"^--set bm25\.fields needs --retriever bm25"):
        cells(set_values={"bm25.fields": "full"})


def test_a_server_goes_with_the_openai_generator_alone() -> None:
    url = "http://localhost:8000/v1"
    assert grid.server("openai", base_url=url, model="m") == {"base_url": url, "model": "m"}
    assert grid.server("vllm", base_url="", model="") == {}
    with pytest.raises(UserError, match=r"^--base-url and --model-name go with --generator openai, not vllm$"):
        grid.server("vllm", base_url=url, model="")
    with pytest.raises(UserError, match="holds a password"):
        grid.server("openai", base_url="http://me:secret@localhost:8000/v1", model="")


def test_metric_settings() -> None:
    assert grid.metric_settings({"judge.model": "m"}) == {"judge": {"model": "m"}}
    with pytest.raises(UserError, match=r"^no metric 'jugde'; did you mean 'judge'\?"):
        grid.metric_settings({"jugde.model": "m"})


LEAST = 'title = "Mine"\nllm = "none"\nk = 2\nmetrics = ["rouge"]\n'


def test_a_profile_without_encoders_serves_whatever_compares_no_vectors(cells: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(LEAST)
    mine = {"profile": str(tmp_path / "mine.toml")}
    assert len(cells(methods=["nonperso", "rag", "pag"], retrievers=["bm25", "recency", "random"], **mine)) == 7
    for words, who, key in (
        ({"methods": ["nonperso", "dpl"]}, "method 'dpl'", "embedder"),
        ({"methods": ["dep"]}, "method 'dep'", "embedder"),
        ({"methods": ["soft"]}, "method 'soft'", "embedder"),
        ({"retrievers": ["bm25", "contriever"]}, "retriever 'contriever'", "retrieval_encoder"),
    ):
        with pytest.raises(UserError) as caught:
            cells(**words, **mine)
        assert str(caught.value) == (
            f"{who} needs vectors, and profile 'mine' names no {key}; add [{key}] to it, or base = \"tiny\" "
            "(docs/gpus.md)"
        )
    assert cells(methods=["nonperso", "dep"], retrievers=["recency"], **mine, set_values={
        "embedder.model": "x", "embedder.pooling": "mean", "embedder.normalize": True, "embedder.max_tokens": 9,
    })  # fmt: skip


def test_what_a_profile_leaves_open_fits_the_generator_s_machine(
    cells: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text(LEAST)
    mine = {"profile": str(tmp_path / "mine.toml")}
    assert cells(**mine)[0].profile.max_new_tokens == 2048
    monkeypatch.setattr(EchoGenerator, "fitting", staticmethod(lambda: {"max_new_tokens": 256}), raising=False)
    (fitted,) = cells(**mine)
    assert (fitted.profile.max_new_tokens, fitted.profile.fitted, fitted.changed) == (256, ("max_new_tokens",), {})
    (by_hand,) = cells(**mine, set_values={"max_new_tokens": 64})
    assert (by_hand.profile.max_new_tokens, by_hand.profile.fitted) == (64, ())
    assert by_hand.changed == {"max_new_tokens": 256}
    with pytest.raises(UserError, match="no setting 'fitted'"):
        cells(set_values={"fitted": []})
