"""`python -m tests.fuzz --target pdu --seconds 60`: coverage-guided fuzzing of one target with atheris.

Begins with the seeds of `tests.fuzz.seeds` and the files of `corpus/<target>`; an input that made something
go wrong is written to the folder `--found` (a new temporary one) as `crash-…`, to be mended and moved into the corpus.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from tests.fuzz.chance import changed

CORPUS = Path(__file__).parent / "corpus"
_LAYER = ("node.upperlayer.streaming", "node.dicom.dimse")
_PYNETDICOM = tuple(
    f"pynetdicom.{name}" for name in ("pdu", "pdu_items", "dimse", "dimse_messages", "fsm", "acse", "presentation")
)
_PYDICOM = tuple(f"pydicom.{name}" for name in ("filereader", "dataset", "dataelem", "values", "sequence", "charset"))
_HL7 = ("node.hl7", "node.worklist.orders", "hl7.parser", "hl7.containers")

# Target: the modules whose branches guide the fuzzer, and the most bytes of an input.
GUIDED: dict[str, tuple[tuple[str, ...], int]] = {
    "pdu": (_LAYER, 2048),
    "association": ((*_LAYER, *_PYNETDICOM), 2048),
    "command": (("node.dicom.dimse",), 512),
    "identity": (("node.dicom.identity", "node.dicom.elements", "node.dicom.character_sets"), 2048),
    "header": (("node.dicom.headers", "node.dicom.character_sets", *_PYDICOM), 2048),
    "parsers": (("node.dicom", *_PYDICOM), 2048),
    "pixels": ((), 16384),
    "codestream": (("workers.inputs.decoding.codestream",), 512),
    "hl7": (_HL7, 2048),
}


def main(arguments: list[str]) -> None:
    """Fuzz until the time is over or something is found; atheris ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Coverage-guided fuzzing, by hand.")
    parser.add_argument("--target", choices=sorted(GUIDED), default="pdu")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="a folder in which interesting inputs are collected between runs")
    parser.add_argument("--found", type=Path, help="where crashes are written")
    given = parser.parse_args(arguments)

    modules, longest = GUIDED[given.target]
    if not modules:
        _blind(given.target, given.seconds, given.seed)
        return

    import atheris

    with atheris.instrument_imports(include=list(modules)):
        target = import_module("tests.fuzz.targets").TARGETS[given.target]
    _quiet()
    corpus = given.corpus or Path(tempfile.mkdtemp(prefix=f"fuzz-{given.target}-"))
    found = given.found or Path(tempfile.mkdtemp(prefix="fuzz-found-"))
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = import_module("tests.fuzz.seeds").SEEDS[given.target]
    for name, data in seeds.items():
        (corpus / f"seed-{name}").write_bytes(data)
    options = [
        f"-max_total_time={given.seconds}", f"-max_len={longest}", f"-seed={given.seed}", "-timeout=10",
        f"-artifact_prefix={found}/", "-print_final_stats=1", "-rss_limit_mb=1024", "-reduce_inputs=0",
    ]  # fmt: skip
    print(f"corpus {corpus}, found {found}", flush=True)
    with target() as play:
        atheris.Setup([sys.argv[0], *options, str(corpus), *map(str, CORPUS.glob(given.target))], play)
        atheris.Fuzz()


def _blind(name: str, seconds: float, seed: int) -> None:
    _quiet()
    seeds = list(import_module("tests.fuzz.seeds").SEEDS[name].values())
    count, begin = 0, time.perf_counter()
    with import_module("tests.fuzz.targets").TARGETS[name]() as play:
        for data in changed(seeds, random.Random(seed)):
            try:
                play(data)
            except Exception:
                Path(tempfile.mkdtemp(prefix="fuzz-found-"), "crash").write_bytes(data)
                raise
            count += 1
            if (over := time.perf_counter() - begin) > seconds:
                break
    print(f"{count} executions in {over:.0f} s, {count / over:.0f} a second, none went wrong")


def _quiet() -> None:
    """Refusals are said in the log, a million of them."""
    import structlog

    from node import logs

    logs.configure()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


if __name__ == "__main__":
    main(sys.argv[1:])
