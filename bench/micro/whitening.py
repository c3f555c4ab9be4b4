"""A whitening of the stand-in sentence encoder, fitted on the micro model's lessons: `bench models make micro`.

Most of what its vectors differ in is what reviews are about. The directions in which they tell habits are small, and a
module that is trained for a minute on a thousand samples never finds them: raw vectors left PPlug at its control
(docs/worlds.md). Whitened (Su et al., 2021; Huang et al., 2021), every direction has the same spread. It is linear and
the same for all texts, so that differences of vectors stay differences, and it has seen no user of any named world.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bench.config import EncoderConfig
from bench.embed import encoders
from bench.micro import lessons

if TYPE_CHECKING:
    from bench.protocols import Vectors

TEXTS = 6000
LEAST = 1e-5  # added to the variances: a direction in which nothing differs stays small


def fit(vectors: Vectors) -> tuple[Vectors, Vectors]:
    """(n, d) -> mean (d,) and a symmetric (d, d): rows of (vectors - mean) @ it have about unit length on average."""
    import numpy as np

    mean = vectors.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov((vectors - mean).T.astype(np.float64)))
    scaled = directions / np.sqrt(variances + LEAST)
    return mean, (scaled @ directions.T / np.sqrt(len(mean))).astype(np.float32)


def texts(seed: int) -> Iterator[str]:
    """Reviews of the lessons' worlds, world after world."""
    number = 0
    while True:
        for review in lessons.Taught.made(lessons.knobs(number, seed)).corpus.reviews():
            yield review.text
        number += 1


def make(file: Path, encoder: EncoderConfig, *, seed: int) -> None:
    """Writes the file that `EncoderConfig.whitening` names."""
    import numpy as np
    from safetensors.numpy import save_file

    plain = encoders.create(EncoderConfig(**{**vars(encoder), "whitening": ""}))
    mean, whiten = fit(plain.encode(list(islice(texts(seed), TEXTS))))
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({"mean": mean.astype(np.float16), "whiten": whiten.astype(np.float16)}, file)
