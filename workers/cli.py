"""The command `readfirst worker`, and the checks of peers' results, language, models and device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from models import packages
from models.errors import ModelsError, UnknownPackage
from node import logs
from node.dispatch.broker import ALONGSIDE
from node.errors import ConfigurationError
from node.plurals import counted
from node.privacy import close_to_others
from node.settings import Results, Settings, load
from workers import model_set
from workers.delivery import probe, profiles
from workers.inputs.decoding.decoder import protections


def worker(
    queue: Annotated[str, typer.Option(help="Queues to work for, separated by commas.")] = "analyze,deliver",
    config: Annotated[Path | None, typer.Option(help="The configuration file; default: readfirst.toml here.")] = None,
    concurrency: Annotated[int, typer.Option(help="Jobs at the same time.", min=1)] = 1,
) -> None:
    """Run one worker; `readfirst up` starts its own. Needs queue.url, and node.data on a shared disk."""
    logs.configure()
    settings = load(config, required=True)
    if not settings.queue.url:
        raise ConfigurationError(
            "queue.url is empty: `readfirst up` runs its own workers; for others name a Redis there"
        )
    close_to_others(settings.node.data)
    from workers.app import make_worker_app  # noqa: PLC0415  # Celery is slow to import

    profiles.require_known(settings)
    queues = [name.strip() for name in queue.split(",") if name.strip()]
    app = make_worker_app(settings, queues)
    listened = [*queues, *(other for one in queues for other in ALONGSIDE.get(one, {}).values())]
    options = ["--queues", ",".join(listened), "--concurrency", str(concurrency), "--loglevel", "WARNING"]
    options += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--hostname", f"{'-'.join(queues)}@%h"]
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")
    app.worker_main(["--quiet", "worker", *options])


def preflight(settings: Settings) -> None:
    """Refuse to start where a viewer's profile or a model package is not there.

    A package that cannot be used stops nothing: studies are received, and those that it was made for wait.

    Raises
    ------
    ConfigurationError
    """
    profiles.require_known(settings)
    for name in settings.models.packages:
        try:
            packages.find(name, settings.model_folders)
        except UnknownPackage as error:
            raise ConfigurationError(f"models.packages: {error}") from error
        except ModelsError:  # the worker says so
            continue


_Line = tuple[bool, str, str] | tuple[bool, str, str, bool]


def check(settings: Settings) -> Iterator[_Line]:
    """(all right?, what, detail, only a warning?) of peers, the results' language, the models and the device."""
    try:
        profiles.require_known(settings)
        yield from probe.lines(settings)
    except ConfigurationError as error:
        yield False, "peers", str(error)
    yield from _language(settings.results)
    for name in settings.models.packages:
        try:
            model, remark = model_set.load(name, settings)
        except ModelsError as error:
            yield False, f"model {name}", str(error)
            continue
        card = model.card
        yield True, f"model {name}", f"{card.version}, {counted(len(card.labels), 'label')}, {model.digest[:12]}"
        if remark:
            yield True, f"model {name}", remark, True
    yield True, "pixel decoder", protections()
    yield _device(settings.models.device)


def _language(results: Results) -> Iterator[tuple[bool, str, str]]:
    from workers.results import fonts  # noqa: PLC0415  # fontTools is slow to import

    try:
        if fonts.drawable_language(results.font, results.language) != results.language:
            needed = "DejaVu Sans draws no Chinese, so pictures and PDF stay English: name a font in results.font"
            yield False, "language", needed
    except ConfigurationError as error:
        yield False, "language", str(error)


def _device(name: str) -> tuple[bool, str, str]:
    import torch  # noqa: PLC0415  # slow to import

    cuda = torch.cuda.is_available()
    if name.startswith("cuda") and not cuda:
        return False, "device", f"models.device = {name}, but torch {torch.__version__} sees no GPU here"
    return (
        True,
        "device",
        torch.cuda.get_device_name() if cuda else f"CPU, {counted(torch.get_num_threads(), 'thread')}",
    )
