"""What a reasoning model thinks before it answers is no part of its answer.

Reasoning stands at the start of an answer, between marks of the model's family. A text that speaks of such marks
further on is left as it is.
"""

from __future__ import annotations

from bench.errors import SampleFailure

# Opening and closing mark: DeepSeek-R1, Qwen3, QwQ and many others; ...; Magistral; Kimi; Seed; Sky-T1; gpt-oss.
MARKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
)


def opened_by(template: str) -> str:
    """The mark with which a rendered template opens the reasoning of every answer, or ""."""
    end = template.rstrip()
    return next((opening for opening, _ in MARKS if end.endswith(opening)), "")


def parted(text: str, *, opened: str = "") -> tuple[str, list[str]]:
    """(the answer, the reasoning before it in parts). `opened`: the mark that the prompt ends with.

    An answer may begin inside the reasoning, and close what the prompt, perhaps a server's own, has opened. Raises
    SampleFailure for an answer that never leaves its reasoning.
    """
    answer, parts = text.lstrip(), []
    for opening, closing in MARKS:
        inside = answer.find(closing)
        if not answer.startswith(opening) and opening == opened and inside < 0:
            raise _never_left(opening)
        if inside >= 0 and opening not in answer[:inside]:
            parts.append(answer[:inside].strip())
            answer = answer[inside + len(closing) :].lstrip()
    while found := next((marks for marks in MARKS if answer.startswith(marks[0])), None):
        inner, closing, rest = answer[len(found[0]) :].partition(found[1])
        if not closing:
            raise _never_left(found[0])
        parts.append(inner.strip())
        answer = rest.lstrip()
    return answer if parts else text, [part for part in parts if part]


def _never_left(opening: str) -> SampleFailure:
    return SampleFailure(f"the answer never leaves its reasoning ({opening}); raise --set max_new_tokens")
