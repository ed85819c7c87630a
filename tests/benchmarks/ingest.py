"""How fast instances are taken, beside DCMTK's storescp, Orthanc and plain pynetdicom. Run by hand, nothing beside it:

    python -m tests.benchmarks.ingest [--rounds 5] [--associations 1 2 8] [--only ct] [--delay] [--memory]

DCMTK's dcmsend sends 300 CT slices of 0.5 MB and 10 radiographs of 15 MB. Each receiver is started on an empty folder
for each round, they take turns in an order that turns round, and a ratio is the median over rounds of the ratio within
the round. `ceiling` is our receiver with fdatasync, fsync and the ledger's writes switched off; `patched` is plain
pynetdicom with the patch of deploy/upstream.

dcmsend and storescp run with TCP_NODELAY=1: as they come (`--delay`) they leave Nagle's algorithm on, and each object
from the one to the other then waits 40 ms for a delayed acknowledgement, which is no measure of a receiver.

`--memory` measures instead the most memory that our process had while it took 16 objects of 50 MB at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pacs import Orthanc
from ports import free_port
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from node.processes import die_with_parent
from tests.benchmarks.receivers import need, patched_pynetdicom

LOADS = {
    "ct": (300, CTImageStorage, (512, 512)),
    "radiograph": (10, DigitalXRayImageStorageForPresentation, (2739, 2739)),
}
OURS, CEILING, STORESCP, ORTHANC, PLAIN, PATCHED = (
    "readfirst", "ceiling", "storescp", "orthanc", "pynetdicom", "patched",
)  # fmt: skip
READY_SECONDS = 30.0


def write_files(folder: Path, count: int, sop_class: str, shape: tuple[int, ...]) -> list[Path]:
    """One series of noise, 16 bits a pixel."""
    rng, study, series = np.random.default_rng(0), generate_uid(), generate_uid()
    files = []
    for number in range(count):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.PatientName, dataset.PatientID, dataset.Modality = "Bench^Mark", "BENCH", "CT"
        dataset.InstanceNumber, dataset.AccessionNumber, dataset.StudyID = number + 1, "", ""
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = shape[-2:]
        if len(shape) > 2:
            dataset.NumberOfFrames = shape[0]
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.PixelData = rng.integers(0, 4096, shape, np.uint16).tobytes()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{number:04}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        files.append(path)
    return files


@contextmanager
def process(
    command: Sequence[str | Path], port: int, environment: Mapping[str, str] = {}
) -> Iterator[subprocess.Popen[bytes]]:
    """A receiver that listens; ended on leaving."""
    child = subprocess.Popen(
        list(map(str, command)),
        preexec_fn=die_with_parent,  # noqa: PLW1509
        stdout=subprocess.DEVNULL,
        env=os.environ | environment,
    )
    try:
        until = time.monotonic() + READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                if child.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"{command[0]} does not listen") from None
                time.sleep(0.02)
        yield child
    finally:
        child.terminate()
        child.wait()


@contextmanager
def receiver(name: str, folder: Path, associations: int) -> Iterator[tuple[str, int]]:
    """AE title and port of a receiver that keeps what it gets below an empty folder."""
    port = free_port()
    if name == ORTHANC:
        with Orthanc(folder) as orthanc:
            yield "ORTHANC", orthanc.dicom_port
        return
    commands: dict[str, list[str | Path]] = {
        STORESCP: [need("storescp"), "-od", folder, *(["--fork"] if associations > 1 else []), str(port)],
        **{
            one: [sys.executable, "-m", "tests.benchmarks.receivers", one, str(folder), str(port)]
            for one in (OURS, CEILING, PLAIN, PATCHED)
        },
    }
    environment = {"PYTHONPATH": f"{patched_pynetdicom(folder)}{os.pathsep}{Path.cwd()}"} if name == PATCHED else {}
    with process(commands[name], port, environment):
        yield "READFIRST", port


def peak_memory(room: Path, count: int = 16) -> None:
    """Print the most memory of our receiver, before and while it takes `count` multi-frame objects of 50 MB at once."""
    files = write_files(room, count, CTImageStorage, (100, 512, 512))
    port, folder = free_port(), room / "received"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.benchmarks.receivers", OURS, str(folder), str(port)]
    with process(command, port) as child:
        before = _high_water(child.pid)
        seconds = send(files, "READFIRST", port, count)
        peak = _high_water(child.pid)
    print(f"{count} associations, 52 MB each, {seconds:.1f} s: at most {peak} MB, idle {before} MB")


def _high_water(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 // 1_000_000


def send(files: Sequence[Path], ae_title: str, port: int, associations: int) -> float:
    """Seconds until dcmsend has sent all files over so many associations at once."""
    base = [need("dcmsend"), "-q", "-aet", "BENCH", "-aec", ae_title, "127.0.0.1", str(port)]
    start = time.perf_counter()
    senders = [subprocess.Popen([*base, *map(str, files[n::associations])]) for n in range(associations)]
    codes = [one.wait() for one in senders]
    seconds = time.perf_counter() - start
    if any(codes):
        raise SystemExit(f"dcmsend to {ae_title} ended with {codes}")
    return seconds


def measure(files: Sequence[Path], names: Sequence[str], associations: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each receiver in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in list(names)[:: 1 if turn % 2 else -1]:
            folder = tempfile.mkdtemp(dir=files[0].parent.parent)  # what is freed while another writes slows it down
            with receiver(name, Path(folder), associations) as (ae_title, port):
                os.sync()  # or who syncs pays for what the one before did not
                seconds[name].append(send(files, ae_title, port, associations))
    return seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--only", choices=list(LOADS))
    parser.add_argument("--receivers", nargs="+", default=[OURS, CEILING, STORESCP, PLAIN, ORTHANC])
    parser.add_argument("--delay", action="store_true")
    parser.add_argument("--memory", action="store_true")
    chosen = parser.parse_args()
    if not chosen.delay:
        os.environ["TCP_NODELAY"] = "1"
    room = Path(tempfile.mkdtemp(prefix="ingest-"))
    try:
        if chosen.memory:
            peak_memory(room)
            return
        for load, (count, sop_class, shape) in LOADS.items():
            if chosen.only not in (None, load):
                continue
            (room / load).mkdir()
            files = write_files(room / load, count, sop_class, shape)
            megabytes = sum(file.stat().st_size for file in files) / 1e6
            for associations in chosen.associations:
                seconds = measure(files, chosen.receivers, associations, chosen.rounds)
                report(load, associations, megabytes, seconds)
    finally:
        shutil.rmtree(room)


def report(load: str, associations: int, megabytes: float, seconds: dict[str, list[float]]) -> None:
    """One line a receiver: MB/s, its spread, and how many times faster ours was in the same round."""
    ours = seconds.get(OURS, [])
    for name, values in seconds.items():
        rates = [megabytes / one for one in values]
        ratio = f"{statistics.median(b / a for a, b in zip(ours, values, strict=True)):.2f}" if ours else "-"
        spread = f"{min(rates):.0f} to {max(rates):.0f}"
        print(
            f"{load:11} {associations} associations  {name:11} {statistics.median(rates):6.0f} MB/s  ({spread})"
            f"  ours {ratio} times",
            flush=True,
        )


if __name__ == "__main__":
    main()
