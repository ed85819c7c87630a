"""Options of a run; a wrong value is named when they are made."""

from __future__ import annotations

from dataclasses import dataclass, fields

from models.errors import RunError

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("cosine", "plateau")
PRECISIONS = ("fp32", "bf16")
SAMPLINGS = ("natural", "balanced")
ATTENTIONS = ("none", "cbam")
METHODS = ("simclr", "moco")
EQUAL = "equal"
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
        Peak learning rate of the backbone.
    head_rate
        That of what is new on it.
    optimizer
        AdamW (Loshchilov and Hutter, ICLR 2019) or SGD with Nesterov's momentum.
    schedule
        After the warm-up the rate falls along a cosine to 0, or to a tenth wherever the score stands still.
    plateau
        So many epochs without a better score are standing still.
    warmup
        Part of all steps in which the rate grows.
    precision
        Of the network's products: bf16 is torch.autocast; weights and losses stay fp32.
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
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    schedule: str = "cosine"
    plateau: int = 2
    warmup: float = 0.1
    precision: str = "fp32"
    freeze: int
    patience: int
    seed: int = 0

    def __post_init__(self) -> None:
        sentences = {
            "There must be at least one epoch.": self.epochs >= 1,
            "A batch must hold at least two images.": self.batch >= 2,
            "Learning rates must be above 0.": min(self.rate, self.head_rate) > 0,
            "The weight decay must be 0 or more.": self.weight_decay >= 0,
            "A plateau must be at least one epoch.": self.plateau >= 1,
            "The warm-up is a part of all steps, from 0 to 1.": 0 <= self.warmup <= 1,
            f"The blocks that are frozen must be 0 to {BLOCKS}.": 0 <= self.freeze <= BLOCKS,
            "The patience must be at least one epoch.": self.patience >= 1,
            "The seed must be 0 or more.": self.seed >= 0,
        }
        refuse(sentences)
        refuse_unknown("optimizer", self.optimizer, OPTIMIZERS)
        refuse_unknown("schedule", self.schedule, SCHEDULES)
        refuse_unknown("precision", self.precision, PRECISIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions(Options):
    """Options of supervised fine-tuning; `loss` is a key of `models.learning.losses.LOSSES`.

    Attributes
    ----------
    hidden, dropout
        Units of a hidden layer under the head that is trained with the backbone and left behind, and the part of what
        a layer sees that is dropped.
    source_weights
        How often images of each source are drawn: "A=2,B=1", or "equal" for sources all alike; "" as they are.
    unlabelled
        Folder of images without labels, from which a mean teacher learns; "" none.
    consistency, decay
        Weight of being like the teacher, and how slowly the teacher follows.
    """

    epochs: int = 20
    batch: int = 16
    rate: float = 1e-4
    head_rate: float = 1e-3
    freeze: int = 8
    patience: int = 5
    loss: str = "bce"
    sampling: str = "natural"
    attention: str = "none"
    hidden: int = 0
    dropout: float = 0.0
    source_weights: str = ""
    unlabelled: str = ""
    consistency: float = 10.0
    decay: float = 0.99

    def __post_init__(self) -> None:
        from models.learning.losses import LOSSES  # noqa: PLC0415 (torch)

        Options.__post_init__(self)
        refuse_unknown("loss", self.loss, tuple(LOSSES))
        refuse_unknown("sampling", self.sampling, SAMPLINGS)
        refuse_unknown("attention", self.attention, ATTENTIONS)
        refuse(
            {
                "The hidden layer must have 0 units (none) or more.": self.hidden >= 0,
                "The dropout is a part of what a layer sees, from 0 to below 1.": 0 <= self.dropout < 1,
                "The weight of consistency must be above 0.": self.consistency > 0,
                "The teacher's decay must be from 0 to below 1.": 0 <= self.decay < 1,
                "A hidden layer or dropout goes with --attention none: CBAM has a head of its own.": (
                    self.attention == "none" or not (self.hidden or self.dropout)
                ),
            }
        )
        given_weights(self.source_weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainOptions(Options):
    """Options of SimCLR and MoCo.

    Attributes
    ----------
    temperature, width
        Of the contrastive loss, and of the projection.
    queue, momentum
        MoCo: keys of earlier batches that are kept, and how slowly the network of keys follows.
    """

    epochs: int = 100
    batch: int = 64
    rate: float = 3e-4
    head_rate: float = 1e-3
    freeze: int = 0
    patience: int = 20
    method: str = "simclr"
    temperature: float = 0.1
    width: int = 128
    queue: int = 1024
    momentum: float = 0.99

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        refuse_unknown("method", self.method, METHODS)
        refuse(
            {
                "The temperature must be above 0.": self.temperature > 0,
                "The width must be above 0.": self.width > 0,
                "The queue must hold at least one key.": self.queue >= 1,
                "The momentum must be from 0 to below 1.": 0 <= self.momentum < 1,
            }
        )


def given_weights(text: str) -> dict[str, float]:
    """Of "A=2,B=1" the weight of each source; none of "" and "equal".

    Raises
    ------
    RunError
        A part is no NAME=NUMBER, or a number is not above 0.
    """
    parts = [part.partition("=") for part in text.split(",")] if text not in ("", EQUAL) else []
    try:
        found = {name.strip(): float(value) for name, _, value in parts}
    except ValueError:
        found = {"": 0.0}
    refuse({f"The source weights {text!r} are no equal, nor A=2,B=1 with numbers above 0.": (
        all(name and value > 0 for name, value in found.items())
    )})  # fmt: skip
    return found


def sentence(options: Options) -> str:
    """All options in words, for the card of what is built on the backbone."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    values["size"] = " x ".join(map(str, options.size))
    named = (
        f"{name.replace('_', ' ')} {value}" for name, value in values.items() if value != "" and name != "unlabelled"
    )
    return f"Options: {', '.join(named)}."


def refuse(sentences: dict[str, bool]) -> None:
    """RunError with the first sentence whose condition does not hold."""
    for sentence, holds in sentences.items():
        if not holds:
            raise RunError(sentence)


def refuse_unknown(what: str, value: str, known: tuple[str, ...]) -> None:
    """RunError where the value is none of those that are known."""
    refuse({f"There is no {what} named {value!r}; there are: {', '.join(known)}.": value in known})
