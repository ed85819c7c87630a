"""MoCo: a view of an image is to be found among keys of earlier batches. He et al., CVPR 2020; heads as in version 2.

Keys are made by a running mean of the network. Normalisation keeps the statistics of its start, so that no batch can
give its images away and no shuffling is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.card import Card
from models.learning.contrast.simclr import Pretraining, Unlabelled
from models.learning.images import batches
from models.learning.losses import info_nce
from models.learning.machine import Machine
from models.learning.options import PretrainOptions
from models.learning.sampling import plan
from models.learning.teacher import follow, teacher_of

QUEUE, FILLED = "queue", "filled"


class MomentumPretraining(Pretraining):
    """The `Learner` of MoCo; it is judged as SimCLR is, so that scores of both can be compared.

    The queue holds at most half of the images, so that an image seldom meets an older key of its own.
    """

    def __init__(
        self, images: Unlabelled, like: Card, options: PretrainOptions, weights: Path, machine: Machine
    ) -> None:
        super().__init__(images, like, options, weights, machine)
        self.keys = teacher_of(self.network)
        length = max(1, min(options.queue, len(images.train) // 2))
        memory = nn.Module()  # of the network, so that a checkpoint has it
        memory.add_module("keys", self.keys)
        memory.register_buffer(QUEUE, torch.zeros(length, options.width, device=machine.device))
        memory.register_buffer(FILLED, torch.zeros((), dtype=torch.int64, device=machine.device))
        self.network.add_module("memory", memory)
        self.memory = memory

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """InfoNCE of each batch; the keys of a batch are kept once its step is done."""
        order = plan(len(self.images.train), self.options.batch, self.options.seed, epoch)
        for _, x in batches(self.views, order, self.how, self.machine):
            with torch.no_grad():
                keys = functional.normalize(self._points(x[:, 1], self.keys), dim=1)
            queries = functional.normalize(self._points(x[:, 0], self.network), dim=1)
            yield info_nce(queries, keys, self._queue(), self.options.temperature)
            trained = (one for name, one in self.network.named_parameters() if not name.startswith("memory."))
            follow(self.keys.parameters(), trained, self.options.momentum)
            self._keep(keys)

    def _queue(self) -> Tensor:
        filled = int(self.memory.get_buffer(FILLED))
        return self.memory.get_buffer(QUEUE)[:filled].clone()

    def _keep(self, keys: Tensor) -> None:
        """Put the newest keys first; what no longer fits falls out."""
        queue = self.memory.get_buffer(QUEUE)
        joined = torch.cat([keys, self._queue()])[: len(queue)]
        queue[: len(joined)] = joined
        self.memory.get_buffer(FILLED).fill_(len(joined))
