"""What a training imports, for the process from which `tests.train.worker.forked` forks."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("DS_ACCELERATOR", "cpu")

import torch.utils.tensorboard  # noqa: F401
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: F401

import bench.train.session  # noqa: F401
