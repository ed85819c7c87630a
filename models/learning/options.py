"""Options of a run; a wrong value is named when they are made."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import RunError

SAMPLINGS = ("natural", "balanced")
ATTENTIONS = ("none", "cbam")
BLOCKS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of either training.

    Attributes
    ----------
    size
        (rows, columns) of the network's input.
    batch
        Images a step.
    rate
        Peak learning rate of the backbone (AdamW: Loshchilov and Hutter, ICLR 2019).
    head_rate
        That of what is new on it.
    warmup
        Part of all steps in which the rate grows; then it falls along a cosine to 0.
    freeze
        The stem and so many blocks stay as they are; 0 trains everything.
    patience
        Stop when so many epochs in a row were no better than the best.
    """

    size: tuple[int, int]
    epochs: int
    batch: int
    rate: float
    head_rate: float
    weight_decay: float = 0.01
    warmup: float = 0.1
    freeze: int
    patience: int
    seed: int = 0

    def __post_init__(self) -> None:
        sentences = {
            "There must be at least one epoch.": self.epochs >= 1,
            "A batch must hold at least two images.": self.batch >= 2,
            "Learning rates must be above 0.": min(self.rate, self.head_rate) > 0,
            "The weight decay must be 0 or more.": self.weight_decay >= 0,
            "The warm-up is a part of all steps, from 0 to 1.": 0 <= self.warmup <= 1,
            f"The blocks that are frozen must be 0 to {BLOCKS}.": 0 <= self.freeze <= BLOCKS,
            "The patience must be at least one epoch.": self.patience >= 1,
            "The seed must be 0 or more.": self.seed >= 0,
        }
        refuse(sentences)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions(Options):
    """Options of supervised fine-tuning; `loss` is a key of `models.learning.losses.LOSSES`."""

    epochs: int = 20
    batch: int = 16
    rate: float = 1e-4
    head_rate: float = 1e-3
    freeze: int = 8
    patience: int = 5
    loss: str = "bce"
    sampling: str = "natural"
    attention: str = "none"

    def __post_init__(self) -> None:
        from models.learning.losses import LOSSES  # noqa: PLC0415 (torch)

        Options.__post_init__(self)
        for what, value, known in (
            ("loss", self.loss, tuple(LOSSES)),
            ("sampling", self.sampling, SAMPLINGS),
            ("attention", self.attention, ATTENTIONS),
        ):
            refuse({f"There is no {what} named {value!r}; there are: {', '.join(known)}.": value in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainOptions(Options):
    """Options of SimCLR; `width` is that of the projection, `temperature` that of NT-Xent."""

    epochs: int = 100
    batch: int = 64
    rate: float = 3e-4
    head_rate: float = 1e-3
    freeze: int = 0
    patience: int = 20
    temperature: float = 0.1
    width: int = 128

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        refuse({"The temperature must be above 0.": self.temperature > 0, "The width must be above 0.": self.width > 0})


def refuse(sentences: dict[str, bool]) -> None:
    """RunError with the first sentence whose condition does not hold."""
    for sentence, holds in sentences.items():
        if not holds:
            raise RunError(sentence)
