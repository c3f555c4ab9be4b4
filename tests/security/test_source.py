"""What the source may not hold, whoever adds it: unpickling, code from data, shells, remote code without a word."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGES = ("bench", "methods", "retrievers", "metrics", "results")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
CALLS = {"torch.load", "np.fromfile", "os.system", "os.popen", "eval", "exec", "compile", "__import__"}
# The words by which a user's own consent travels, and what is said without it.
CONSENT = {"False", "trust_code", "self._profile.trusts_code", "profile.trusts_code"}


def offences(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"import {name}" for name in names if name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS:
                yield name
            for keyword in node.keywords:
                said = f"{keyword.arg}={ast.unparse(keyword.value)}"
                if keyword.arg in ("allow_pickle", "shell") and said.endswith("=True"):
                    yield said
                if keyword.arg in ("trust_remote_code", "trust_code") and ast.unparse(keyword.value) not in CONSENT:
                    yield said
            loads = name.endswith(("AutoTokenizer.from_pretrained", "AutoConfig.from_pretrained", "from_config"))
            loads |= name.endswith(("AutoModel.from_pretrained", "AutoModelForCausalLM.from_pretrained"))
            told = {keyword.arg for keyword in node.keywords} | {ast.unparse(one.value) for one in node.keywords}
            if loads and not told & {"trust_remote_code", "here", "gguf_file"}:
                yield f"{name} without trust_remote_code asks on the terminal whether to run a model's code"
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.endswith((".bin", ".pt", ".pkl"))
        ):
            yield node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_and_no_code_comes_from_data(path: Path) -> None:
    found = list(offences(path.read_text("utf-8")))
    # The hub's models without safetensors: transformers reads these with weights_only, bench.models.folders names them.
    allowed = {"pytorch_model*.bin", "*.bin", "*.pt"} if path.name == "folders.py" else set()
    if path.name == "encoders.py":
        assert '"trust_remote_code": False' in path.read_text("utf-8")  # what `here` says
    assert set(found) <= allowed


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "import torch\ntorch.load('x')", "np.load(f, allow_pickle=True)",
        "subprocess.run('ls', shell=True)", "AutoModel.from_pretrained(x, trust_remote_code=True)", "eval('1')",
        "ChatEncoder(folder, trust_code=anything)", "open('weights.bin')", "AutoTokenizer.from_pretrained(x)",
    ],
)  # fmt: skip
def test_the_search_finds(source: str) -> None:
    assert list(offences(source))
