"""How fast instances are sent, beside DCMTK's dcmsend, to the same storescp. Run by hand, nothing beside it:

    python -m tests.benchmarks.sending [--rounds 5] [--only ct] [--nagle off]

300 CT slices of 0.5 MB, 10 radiographs of 15 MB, and 5 small objects as a study's results are. `deliver` is what the
worker calls (`node.sending.scu.store`, in a process that runs already), `command` is `readfirst send`, `pynetdicom` its
own `send_c_store`, over one association each; dcmsend is a process. They take turns in an order that turns round, all
to one storescp (which keeps what it gets with `--disk`); a ratio is the median over rounds of the ratio within the
round. DCMTK leaves Nagle's algorithm on where the environment does not say TCP_NODELAY=1: `--nagle on` is DCMTK as it
is installed, `off` gives TCP_NODELAY=1 to dcmsend and storescp both, which is dcmsend at its best.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ports import free_port
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SegmentationStorage,
)
from pynetdicom import AE, build_context

from node.processes import die_with_parent
from node.sending.scu import Requestor, store
from node.settings import Peer
from tests.benchmarks.ingest import write_files
from tests.benchmarks.receivers import need

LOADS = {
    "ct": (300, CTImageStorage, (512, 512)),
    "radiograph": (10, DigitalXRayImageStorageForPresentation, (2739, 2739)),
    "results": (5, SegmentationStorage, (128, 128)),
}
DELIVER, COMMAND, DCMSEND, PLAIN = "deliver", "command", "dcmsend", "pynetdicom"
NODELAY = {"on": {}, "off": {"TCP_NODELAY": "1"}}

Send = Callable[[Sequence[Path], int, dict[str, str]], None]


@contextmanager
def storescp(folder: Path, environment: dict[str, str], *, disk: bool) -> Iterator[int]:
    """The port of DCMTK's receiver, one association after the other."""
    port = free_port()
    keeping = ["-od", str(folder)] if disk else ["--ignore"]
    child = subprocess.Popen(
        [need("storescp"), "-q", *keeping, str(port)],
        env=os.environ | environment,
        preexec_fn=die_with_parent,  # noqa: PLW1509
    )
    try:
        until, quiet = time.monotonic() + 10, subprocess.DEVNULL
        while subprocess.run([need("echoscu"), "-q", "127.0.0.1", str(port)], check=False, stderr=quiet).returncode:
            if child.poll() is not None or time.monotonic() > until:
                raise SystemExit("storescp does not listen")
            time.sleep(0.05)
        yield port
    finally:
        child.terminate()
        child.wait()


def deliver(files: Sequence[Path], port: int, _environment: dict[str, str]) -> None:
    """As workers/delivery/deliver.py sends results."""
    outcomes = store(Requestor("BENCH"), Peer(ae_title="STORESCP", host="127.0.0.1", port=port), files)
    if len(outcomes) != len(files) or any(outcome.error for outcome in outcomes):
        raise SystemExit(f"not sent: {outcomes}")


def command(files: Sequence[Path], port: int, _environment: dict[str, str]) -> None:
    """As a person sends a folder."""
    words = [sys.executable, "-m", "node", "send", files[0].parent, "--to", f"STORESCP@127.0.0.1:{port}"]
    subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def dcmsend(files: Sequence[Path], port: int, environment: dict[str, str]) -> None:
    """DCMTK's sender."""
    words = [need("dcmsend"), "-q", "-aet", "BENCH", "127.0.0.1", str(port), *map(str, files)]
    subprocess.run(words, check=True, env=os.environ | environment)


def plain(files: Sequence[Path], port: int, _environment: dict[str, str]) -> None:
    """As we sent before: pynetdicom's chunked send, its own upper layer."""
    ae = AE("BENCH")
    contexts = [build_context(sop_class, ExplicitVRLittleEndian) for _, sop_class, _ in LOADS.values()]
    association = ae.associate("127.0.0.1", port, contexts)
    if any(association.send_c_store(file).get("Status") != 0 for file in files):
        raise SystemExit("pynetdicom's sender was refused")
    association.release()


SENDERS: dict[str, Send] = {DELIVER: deliver, COMMAND: command, DCMSEND: dcmsend, PLAIN: plain}


def measure(
    files: Sequence[Path], names: Sequence[str], environment: dict[str, str], rounds: int, *, disk: bool
) -> dict[str, list[float]]:
    """Seconds of each sender in each round, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in list(names)[:: 1 if turn % 2 else -1]:
            with (
                tempfile.TemporaryDirectory(dir=files[0].parent.parent) as folder,
                storescp(Path(folder), environment, disk=disk) as port,
            ):
                start = time.perf_counter()
                SENDERS[name](files, port, environment)
                seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}


def report(load: str, nagle: str, seconds: dict[str, list[float]]) -> None:
    """One line a sender: seconds, their spread, and how many times dcmsend's in the same round."""
    reference = seconds.get(DCMSEND, [])
    for name, values in seconds.items():
        ratios = [a / b for a, b in zip(values, reference, strict=False)]
        ratio = f"{statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"
        spread = f"({min(values):.3f} to {max(values):.3f})"
        print(
            f"{load:10}  Nagle {nagle:3}  {name:10} {statistics.median(values):7.3f} s {spread:18}"
            f"  {ratio} times dcmsend's time",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=list(LOADS), nargs="+", default=list(LOADS))
    parser.add_argument("--nagle", choices=list(NODELAY), nargs="+", default=list(NODELAY))
    parser.add_argument("--senders", choices=list(SENDERS), nargs="+", default=list(SENDERS))
    parser.add_argument("--disk", action="store_true", help="storescp keeps what it gets")
    chosen = parser.parse_args()
    room = Path(tempfile.mkdtemp(prefix="sending-"))
    try:
        for load in chosen.only:
            (room / load).mkdir()
            files = write_files(room / load, *LOADS[load])
            for nagle in chosen.nagle:
                report(load, nagle, measure(files, chosen.senders, NODELAY[nagle], chosen.rounds, disk=chosen.disk))
    finally:
        shutil.rmtree(room)


if __name__ == "__main__":
    main()
