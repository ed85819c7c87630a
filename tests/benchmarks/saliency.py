"""What saliency of all labels costs beside a plain forward pass, and what pays on a CPU. Run by hand:

    python -m tests.benchmarks.saliency [--rounds 30] [--threads 1]

The things compared take turns in one run, and a ratio is the median over rounds of the ratio within the round, so that
what else the machine does meets all of them alike. "alone" is a method's own part, from features on, timed apart.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import packages
from models.data.images import read_image
from models.localizers.base import NetworkLocalizer
from models.localizers.cam import CamLocalizer
from models.localizers.grad_cam import GradCamLocalizer
from models.localizers.grad_cam_plus_plus import GradCamPlusPlusLocalizer
from models.localizers.hirescam import HiResCamLocalizer
from models.networks.modules.backbone_file import imagenet_weights
from models.networks.modules.densenet import DenseNet121
from models.networks.modules.tapped import CamNetwork

LABELS = 14
SAMPLES = Path(__file__).parents[2] / "deploy" / "samples"
METHODS: dict[str, type[NetworkLocalizer]] = {
    "all-class CAM": CamLocalizer,
    "all-class Grad-CAM": GradCamLocalizer,
    "all-class Grad-CAM++": GradCamPlusPlusLocalizer,
    "all-class HiResCAM": HiResCamLocalizer,
}


class Unknown(nn.Module):
    """The same network, not known to end in pooling and a linear layer: gradients through `classify`, all at once."""

    def __init__(self, network: CamNetwork | DenseNet121) -> None:
        super().__init__()
        self.inside = network

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.inside.features(x)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        return self.inside.classify(features)


class Whole(nn.Module):
    """The network as torchcam wants it: one tensor out, the features a module's output."""

    def __init__(self, network: CamNetwork | DenseNet121) -> None:
        super().__init__()
        self.inside, self.last = network, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        features = self.inside.features(x)
        return self.inside.classify((*features[:-1], self.last(features[-1])))


def timed(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of each call, and its median ratio to the first; the order turns round every second time."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 2):
        for name in list(calls)[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    kept = {name: np.array(all_[2:]) for name, all_ in seconds.items()}  # two rounds to warm up
    first = next(iter(kept.values()))
    return {name: (float(np.median(one)), float(np.median(one / first))) for name, one in kept.items()}


def forward(network: CamNetwork | DenseNet121, x: Tensor) -> Tensor:
    """The plain forward pass."""
    with torch.inference_mode():
        return network.classify(network.features(x))


def explained(localizer: NetworkLocalizer, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and maps of all labels."""
    with torch.inference_mode():
        return localizer.explain(localizer.network.features(x))


def by_torchcam(network: Whole, x: Tensor) -> list[Tensor]:
    """PyPI torchcam's Grad-CAM of all labels: a forward pass and a backward pass a label."""
    from torchcam.methods import GradCAM

    with GradCAM(network, "last") as extractor:
        scores = network(x)
        return [extractor(label, scores, normalized=False, retain_graph=True)[0] for label in range(LABELS)]


def alone(localizer: NetworkLocalizer, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Logits and maps of all labels, from features on."""
    with torch.inference_mode():
        return localizer.explain(features)


def saliency(network: CamNetwork | DenseNet121, x: Tensor, rounds: int) -> dict[str, tuple[float, float]]:
    """Seconds and ratio of the forward pass and of each method."""
    network.eval().requires_grad_(False)
    with torch.inference_mode():
        features = network.features(x)
    calls: dict[str, Callable[[], Any]] = {"forward pass": lambda: forward(network, x)}
    for name, method in METHODS.items():
        calls[name] = partial(explained, method(network, 0.0, 1.0), x)
        calls[f"{name}, alone"] = partial(alone, method(network, 0.0, 1.0), features)
    calls["Grad-CAM++ by gradients"] = partial(explained, GradCamPlusPlusLocalizer(Unknown(network), 0.0, 1.0), x)
    calls["HiResCAM by gradients"] = partial(explained, HiResCamLocalizer(Unknown(network), 0.0, 1.0), x)
    whole, wanting = Whole(network).eval(), x.clone().requires_grad_()
    calls["torchcam Grad-CAM x 14"] = lambda: by_torchcam(whole, wanting)
    return timed(calls, rounds)


def inference(
    network: CamNetwork | DenseNet121, x: Tensor, rounds: int
) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Seconds of ways to run the network on a CPU, and how far their logits are from the plain way's."""
    network.eval().requires_grad_(False)
    last = x.contiguous(memory_format=torch.channels_last)

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = network

        def forward(self, x: Tensor) -> Tensor:
            return self.inside.classify(self.inside.features(x))

    plain = Plain().eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced: Any = torch.jit.trace(plain, x)  # type: ignore[no-untyped-call]
        frozen = torch.jit.freeze(traced)
        optimized = torch.jit.optimize_for_inference(traced)

    def under(mode: Callable[[], Any], run: Callable[[], Any]) -> Callable[[], Any]:
        def called() -> Any:
            with mode():
                return run()

        return called

    def in_bfloat16() -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return plain(x)

    calls = {
        "no_grad": under(torch.no_grad, lambda: plain(x)),
        "inference_mode": under(torch.inference_mode, lambda: plain(x)),
        "channels_last input": under(torch.inference_mode, lambda: plain(last)),
        "jit.freeze": under(torch.no_grad, lambda: frozen(x)),
        "optimize_for_inference": under(torch.no_grad, lambda: optimized(x)),
        "bfloat16 autocast": under(torch.inference_mode, in_bfloat16),
    }
    exact = calls["no_grad"]()
    return timed(calls, rounds), {name: float((call().float() - exact).abs().max()) for name, call in calls.items()}


def networks() -> dict[str, tuple[CamNetwork | DenseNet121, int]]:
    """Those that are measured, and the side of their input."""
    torch.manual_seed(0)
    dense = DenseNet121(LABELS, 3).eval()
    with torch.inference_mode(mode=False), torch.no_grad():
        logits = dense.classify(dense.features(torch.randn(4, 3, 224, 224)))
        dense.head.weight.mul_(1 / logits.std())  # logits that differ by about one, as trained ones do
    lite = CamNetwork((6, 10, 14), LABELS, 1, deviations=True).eval()
    lite.backbone.load_imagenet(imagenet_weights())
    lite.backbone.fold()
    nn.init.normal_(lite.head.weight, std=0.1)
    return {"DenseNet-121, random": (dense, 224), "EfficientNet-Lite0 of chest-xray 0.2.0": (lite, 384)}


def whole_package(rounds: int) -> dict[str, tuple[float, float]]:
    """Seconds of the shipped package with one image: lungs, crop, network, evidence; and of the lungs alone."""
    model, segmenter = packages.load(packages.find("chest-xray"), "cpu"), packages.load_segmenter("lungs")
    size = model.card.input.size
    assert size is not None
    image = read_image(next((SAMPLES / "chest-xray-normal").glob("*.dcm")), size)
    return timed({"lungs": lambda: segmenter(image), "lungs, logits, maps": lambda: model.predict(image)}, rounds)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--only", default="", help="part of a network's name")
    given = parser.parse_args()
    print(f"torch {torch.__version__}, medians of {given.rounds} interleaved rounds")
    for threads in given.threads:
        torch.set_num_threads(threads)
        print(f"\nchest-xray, one image, {threads} threads")
        for call, (seconds, ratio) in whole_package(given.rounds).items():
            print(f"  {call:28} {1000 * seconds:9.2f} ms  {ratio:6.3f} x lungs", flush=True)
    for name, (network, side) in networks().items():
        if given.only not in name:
            continue
        for threads in given.threads:
            torch.set_num_threads(threads)
            for batch in given.batches:
                x = torch.randn(batch, 3, side, side)
                print(f"\n{name}, {side} x {side}, batch {batch}, {threads} threads")
                for call, (seconds, ratio) in saliency(network, x, given.rounds).items():
                    print(f"  {call:28} {1000 * seconds:9.2f} ms  {ratio:6.3f} x forward", flush=True)
            print(f"\n{name}, inference, batch 1, {threads} threads")
            found, errors = inference(network, torch.randn(1, 3, side, side), given.rounds)
            for call, (seconds, ratio) in found.items():
                error = f"largest difference of a logit {errors[call]:.1e}"
                print(f"  {call:28} {1000 * seconds:9.2f} ms  {ratio:6.3f} x no_grad  {error}", flush=True)


if __name__ == "__main__":
    main()
