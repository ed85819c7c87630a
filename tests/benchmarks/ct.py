"""A chest CT from stored files to results on disk: seconds by stage, and the peak memory. Run by hand:

    python -m tests.benchmarks.ct [--slices 133 300 1000] [--packages chest-ct] [--enhanced] [--threads 2]

The slices are those of the demo's CT (512 x 512), interpolated along the patient to as many as are wanted. Each count
is a process of its own; its memory is the worker's and the decoding child's, each at its highest. CPU seconds are those
of the worker, the decoding child and dciodvfy together: on a busy machine they say more than the clock.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from models import packages
from node.settings import Settings
from workers import pipeline
from workers.delivery.profiles import result_options
from workers.inputs.decoding.decoder import Decoder
from workers.pipeline import Environment, Instance, Study

SAMPLES = Path(__file__).parents[2] / "deploy" / "samples" / "chest-ct"
STAGES = {
    "read_headers": "headers", "choose": "choice", "load_volume": "decoding", "findings_of": "regions",
    "make_results": "results",
}  # fmt: skip
GOALS = {133: 8.0, 300: 16.0}  # seconds on 2 cores
MOST_GIB = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="+", default=[133, 300, 1000])
    parser.add_argument("--packages", nargs="+", default=["chest-ct"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--enhanced", action="store_true", help="one enhanced multi-frame instance")
    parser.add_argument("--one", type=Path, help="internal: analyse the files of this folder")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(arguments.one, arguments.packages, arguments.threads)))
        return 0
    rows = [_in_a_process(count, arguments) for count in arguments.slices]
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + " --- |" * len(names))
    for row in rows:
        print("| " + " | ".join(f"{row[name]:.2f}" if name != "slices" else str(row[name]) for name in names) + " |")
    late = [row["slices"] for row in rows if row["all, s"] > GOALS.get(int(row["slices"]), np.inf)]
    large = [row["slices"] for row in rows if row["peak, GiB"] > MOST_GIB]
    print(f"goals: {'met' if not late and not large else f'not met: seconds at {late}, memory at {large}'}")
    return 0


def _in_a_process(count: int, arguments: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        write_slices(Path(folder), count, enhanced=arguments.enhanced)
        command = [sys.executable, "-m", "tests.benchmarks.ct", "--one", folder, "--packages", *arguments.packages]
        command += ["--threads", str(arguments.threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"slices": count, **json.loads(done.stdout.splitlines()[-1])}


def measured(folder: Path, names: list[str], threads: int) -> dict[str, float]:
    """Seconds of each stage, of everything, and the peak memory in GiB, of the study in a folder."""
    models = [packages.load(packages.find(name), "cpu", threads) for name in names]
    spent: dict[str, float] = {}
    instances = tuple(Instance(path.stem, path, 1_767_348_930.0) for path in sorted(folder.glob("*.dcm")))
    study = Study(instances, folder / "a" / "results", folder / "a" / "pictures")
    with Decoder() as decoder, _timed(spent):
        assert decoder.layers  # it is ready: a worker's has long been
        start, cpu = time.perf_counter(), time.process_time()
        report = pipeline.analyze(study, models, Environment(decoder, "0", result_options(Settings())))
        everything = time.perf_counter() - start
        own = time.process_time() - cpu
        peak = highest_memory("self") + highest_memory(str(decoder.pid))
    assert report.results, report.reason
    assert not any(result.fault for result in report.results), report.notes
    others = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])  # the decoder, and dciodvfy
    return {**spent, "all, s": everything, "CPU, s": own + others, "peak, GiB": peak / 2**20}


def highest_memory(process: str) -> int:
    """KiB of a process's resident memory at its highest."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0])


def write_slices(folder: Path, count: int, *, enhanced: bool = False) -> None:
    """Slices of the demo's CT at so many places along the patient, evenly between its first and last; 0.4 mm at least.

    Beyond the first and the last the slices go on as they are.
    """
    sample = sorted((dcmread(path) for path in SAMPLES.glob("*.dcm")), key=lambda one: one.ImagePositionPatient[2])
    low, high = (float(sample[end].ImagePositionPatient[2]) for end in (0, -1))
    spacing = max((high - low) / (count - 1), 0.42)
    places = (np.arange(count) - (count - 1) / 2) * spacing / (high - low) * (len(sample) - 1) + (len(sample) - 1) / 2
    pixels = [one.pixel_array for one in sample]
    made: list[Dataset] = []
    for index, place in enumerate(np.clip(places, 0, len(sample) - 1)):
        below, part = min(int(place), len(sample) - 2), place % 1 if place < len(sample) - 1 else 1.0
        values = np.rint(pixels[below] * (1 - part) + pixels[below + 1] * part).astype(pixels[0].dtype)
        made.append(_slice(sample[0], values, index, low + index * spacing, spacing))
        if not enhanced:
            made.pop().save_as(folder / f"1.2.3.{index + 1}.dcm", enforce_file_format=True)
    if enhanced:
        from tests.workers.enhanced_phantoms import enhanced_ct

        one = enhanced_ct(made)
        one.save_as(folder / f"{one.SOPInstanceUID}.dcm", enforce_file_format=True)


def _slice(header: Dataset, values: Any, index: int, z: float, spacing: float) -> Dataset:
    one = Dataset()
    for element in header:
        if element.keyword != "PixelData":
            one.add(copy.copy(element))
    one.file_meta = header.file_meta.__class__(header.file_meta)
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{index + 1}"
    x, y, _ = header.ImagePositionPatient
    one.ImagePositionPatient, one.InstanceNumber = [x, y, round(z, 4)], index + 1
    one.SliceThickness, one.SliceLocation = round(spacing, 4), round(z, 4)
    one.add_new("PixelData", "OW", values.tobytes())
    return one


@contextmanager
def _timed(spent: dict[str, float]) -> Iterator[None]:
    """Count the seconds of the pipeline's stages, the model's, the checks' and the pictures'."""
    from models.loaded import LoadedModel

    owners: list[tuple[Any, str, str]] = [(pipeline, name, title) for name, title in STAGES.items()]
    owners.insert(3, (LoadedModel, "predict", "model"))
    owners += [(pipeline.gate, "check", "checks"), (pipeline.pictures, "draw", "pictures")]
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in owners]
    for owner, name, title in owners:
        spent[f"{title}, s"] = 0.0
        setattr(owner, name, _counted(getattr(owner, name), f"{title}, s", spent))
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def _counted(function: Callable[..., Any], title: str, spent: dict[str, float]) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[title] += time.perf_counter() - start

    return counted


if __name__ == "__main__":
    sys.exit(main())
