"""Which attention kernels models of transformers use here."""

from __future__ import annotations


def of_any_shape() -> None:
    """Leaves out cuDNN's kernels in this process: they are planned anew for every shape, and here few passes share one.

    On an H200, training steps of Qwen2.5-7B's shape took two to five times as long until all shapes had been seen.
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)
