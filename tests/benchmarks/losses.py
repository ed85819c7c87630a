"""What losses and sampling give a linear head on frozen features, out of fold on the training images. Run by hand:

    python -m tests.benchmarks.losses DATA [--like chest-xray] [--seeds 3]

Each way has the same freedom: the penalty, of which the best by out-of-fold AUC is shown. The split train alone is
read; the interval is of the difference to cross-entropy, by bootstrap of patients, of the mean over fold seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from models import packages
from models.data.datasets import Examples, read_examples
from models.evaluation.discrimination import FEWEST_POSITIVES
from models.fitting import heads
from models.fitting.frozen import extract, with_imagenet
from models.fitting.heads import Floats
from models.fitting.task import Task
from models.learning.losses import LOSSES, Loss
from models.learning.sampling import balanced_weights
from models.metrics.ranking import auc
from models.networks.modules.backbone_file import imagenet_weights
from models.networks.modules.tapped import CamNetwork

PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
WAYS = {**{name: (name, False) for name in LOSSES}, "bce, balanced sampling": ("bce", True)}
FOLDS, DRAWS = 5, 500


def fitted(x: Tensor, truth: Tensor, loss: Loss, weights: Tensor, penalty: float) -> nn.Linear:
    """A linear head at the optimum of the weighted mean of `loss` over images, and the penalty."""
    head = nn.Linear(x.shape[1], truth.shape[1], dtype=torch.float64)
    nn.init.zeros_(head.weight)
    drawn = torch.multinomial(weights, 4 * len(x), replacement=True) if bool((weights != weights[0]).any()) else None
    x, truth = (x, truth) if drawn is None else (x[drawn], truth[drawn])
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        whole = truth.shape[1] * loss(head(x), truth) + 0.5 * penalty * head.weight.square().sum()
        whole.backward()  # type: ignore[no-untyped-call]
        return whole

    optimizer.step(objective)  # type: ignore[arg-type,no-untyped-call]
    return head


def out_of_fold(x: Floats, examples: Examples, way: str, penalty: float, seed: int) -> Floats:
    """Logits (N, L) of heads that did not see the image, without their biases."""
    name, balanced = WAYS[way]
    logits = np.zeros(examples.truth.shape)
    for held in heads.folds(examples.patients, FOLDS, seed):
        kept = np.setdiff1d(np.arange(len(x)), held)
        truth = examples.truth[kept]
        weights = balanced_weights(truth) if balanced else np.ones(len(kept))
        torch.manual_seed(seed)
        target = torch.from_numpy(truth).double()
        head = fitted(torch.from_numpy(x[kept]), target, LOSSES[name](target), torch.from_numpy(weights), penalty)
        logits[held] = x[held] @ head.weight.detach().numpy().T
    return logits


def source_means(logits: Floats, examples: Examples, weights: Floats) -> dict[str, Floats]:
    """Mean AUC of labels with enough positives within each source, for each row of weights (draws, N)."""
    means = {}
    for source in sorted(set(examples.sources.tolist())):
        rows = examples.sources == source
        counts = examples.truth[rows].sum(0)
        usable = np.flatnonzero((counts >= FEWEST_POSITIVES) & (counts < rows.sum()))
        per_draw = []
        for draw in weights:
            index = np.repeat(np.flatnonzero(rows), draw[rows].astype(int))
            whole = [i for i in usable if 0 < examples.truth[index, i].sum() < len(index)]
            per_draw.append(np.mean([auc(logits[index, i], examples.truth[index, i]) for i in whole]))
        means[source] = np.array(per_draw)
    return means


def patient_draws(examples: Examples, draws: int) -> Floats:
    """How often each image is drawn; the first row is once each."""
    rng = np.random.default_rng(0)
    patients = int(examples.patients.max()) + 1
    counts = [np.bincount(rng.integers(patients, size=patients), minlength=patients) for _ in range(draws)]
    return np.array([np.ones(len(examples)), *(count[examples.patients] for count in counts)], dtype=np.float64)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--like", default="chest-xray")
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    card = packages.load_card(packages.find(chosen.like, ()))
    examples = read_examples(chosen.data, "train", [label.name for label in card.labels])
    with TemporaryDirectory() as store:
        task = Task(examples, card, imagenet_weights(), (), 0, lambda stage, done, of: None, Path(store))
        how = task.network
        network = CamNetwork(how.taps, len(card.labels), how.border, deviations=how.deviations)
        features = extract(with_imagenet(network, task), task)
        pooled = features.pooled[slice(None)]
    x = (pooled - pooled.mean(0)) @ heads.whitening(features.covariance)
    draws = patient_draws(examples, DRAWS)
    first: dict[str, Floats] = {}
    for way in WAYS:
        tried = {}
        for penalty in PENALTIES:
            logits = [out_of_fold(x, examples, way, penalty, seed) for seed in range(chosen.seeds)]
            means = [source_means(one, examples, draws[:1]) for one in logits]
            tried[penalty] = float(np.mean([list(one.values()) for one in means])), logits
        penalty = max(tried, key=lambda one: tried[one][0])
        drawn = [source_means(one, examples, draws) for one in tried[penalty][1]]
        whole = {source: np.mean([one[source] for one in drawn], axis=0) for source in drawn[0]}
        first = first or whole
        figures = []
        for source, values in whole.items():
            low, high = np.quantile(values[1:] - first[source][1:], (0.025, 0.975))
            figures.append(f"{source} {values[0]:.3f} ({low:+.3f} to {high:+.3f})")
        print(f"{way:24} penalty {penalty:<7} {'  '.join(figures)}", flush=True)


if __name__ == "__main__":
    main()
