"""Chat templates of a profile: the plain one, one's own, and what a template is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.config import load_profile
from bench.errors import UserError
from bench.generate.prompts import chat
from bench.generate.prompts.chat import ChatEncoder
from bench.models import assets
from bench.types import Prompt, Slot
from tests.fakes import PROFILE
from tests.generate.folders import SMOLLM, tokenizer_folder

pytestmark = pytest.mark.models

ALPACA = "{% for m in messages %}### {{ m['role'] }}:\n{{ m['content'] }}\n\n{% endfor %}### Response:\n"
# Qwen3's way: thinking is switched off by a reasoning that is closed at once.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
)


@pytest.fixture(autouse=True, scope="module")
def _smollm(require_assets: Callable[..., None]) -> None:
    require_assets(SMOLLM)


@pytest.fixture
def base(tmp_path: Path) -> str:
    return str(tokenizer_folder(tmp_path / "base", ""))


def spelled(encoder: ChatEncoder, prompt: Prompt) -> str:
    return str(encoder.tokenizer.decode(list(encoder.encode(prompt))))


def test_a_base_model_is_refused_with_the_option_that_mends_it(base: str) -> None:
    with pytest.raises(UserError, match=r"has no chat template, as base models have none; --set chat_template=plain"):
        ChatEncoder(base)


def test_the_plain_template_is_texts_with_blank_lines(base: str) -> None:
    encoder = ChatEncoder(base, template="plain")
    assert spelled(encoder, Prompt("Write a review.", "A lamp.")) == "Write a review.\n\nA lamp.\n\n"
    merging = ChatEncoder(base, template="plain", merge=True)
    assert spelled(merging, Prompt("Write a review.", "A lamp.")) == "Write a review.\n\nA lamp.\n\n"
    assert encoder.target("Fine.", 99)[-1] == encoder.tokenizer.eos_token_id
    assert encoder.encode(Prompt("s", ("a", Slot("x")))).count(encoder.slot_id) == 1


def test_the_plain_template_opens_a_prompt_as_the_tokenizer_opens_a_text(base: str) -> None:
    from tokenizers.processors import TemplateProcessing

    file = Path(base) / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    bos = json.loads((Path(base) / "tokenizer_config.json").read_text())["bos_token"]
    number = next(one["id"] for one in tokenizer["added_tokens"] if one["content"] == bos)
    processor = TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, number)])
    tokenizer["post_processor"] = json.loads(processor.__getstate__())
    file.write_text(json.dumps(tokenizer))
    encoder = ChatEncoder(base, template="plain")
    assert encoder.encode(Prompt("S", "U"))[0] == number
    assert encoder.encode(Prompt("S", "U")).count(number) == 1


def test_a_template_of_one_s_own_stands_in_for_the_model_s(base: str) -> None:
    for folder in (base, str(assets.path(SMOLLM))):
        encoder = ChatEncoder(folder, template=ALPACA)
        assert encoder.has_own_template
        said = spelled(encoder, Prompt("Write.", "A <|im_end|> lamp."))
        assert said == "### system:\nWrite.\n\n### user:\nA <|im_end|> lamp.\n\n### Response:"  # as Jinja ends a file
    assert ChatEncoder(base, template=ALPACA).template_hash != ChatEncoder(base, template="plain").template_hash


def test_the_model_s_own_template_gives_the_same_ids_as_a_profile_s(tmp_path: Path) -> None:
    folder = str(tokenizer_folder(tmp_path / "own", THINKING))
    for values in ({}, {"enable_thinking": False}):
        own, given = ChatEncoder(folder, values=values), ChatEncoder(folder, values=values, template=THINKING)
        prompt = Prompt("Write a review.", "[Item Title]: A lamp\n")
        assert own.encode(prompt) == given.encode(prompt)
        assert own.turn_end == given.turn_end
        assert (own.template_hash, own.has_own_template) == (given.template_hash, False)


def test_a_template_is_told_the_profile_s_values(tmp_path: Path) -> None:
    folder = str(tokenizer_folder(tmp_path / "thinking", THINKING))
    told = spelled(ChatEncoder(folder, values={"enable_thinking": False}), Prompt("Write.", "A lamp."))
    assert told.endswith("assistant\n<think>\n\n</think>\n\n")
    assert "<think>" not in spelled(ChatEncoder(folder), Prompt("Write.", "A lamp."))
    with pytest.raises(UserError, match=r"chat_kwargs.enable_thinkng: .* did you mean 'enable_thinking'\?"):
        ChatEncoder(folder, values={"enable_thinkng": False})
    with pytest.raises(UserError, match=r"chat_kwargs.assistant_mode: .* does not ask for it; leave it out"):
        ChatEncoder(folder, values={"assistant_mode": False})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% if %}", "the chat template of the profile takes no system message"),
        ("{{ messages[0]['content'] }}", "the chat template of the profile does not keep a system and a user message"),
    ],
)
def test_a_template_of_one_s_own_that_cannot_be_used_is_named(base: str, template: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ChatEncoder(base, template=template)


def test_a_profile_hands_all_of_it_to_its_encoder(tmp_path: Path) -> None:
    folder = str(tokenizer_folder(tmp_path / "thinking", THINKING))
    (tmp_path / "mine.jinja").write_text(f"Hello. {THINKING}")
    (tmp_path / "p.toml").write_text(PROFILE.replace('llm = "none"', f'llm = "{folder}"\nchat_template = "mine.jinja"'))
    settings: dict[str, Any] = {"chat_kwargs.enable_thinking": False}
    encoder = chat.of_profile(load_profile(str(tmp_path / "p.toml"), settings), folder)
    said = spelled(encoder, Prompt("Write.", "A lamp."))
    assert said.startswith("Hello. <|im_start|>system\nWrite.")
    assert said.endswith("</think>\n\n")
