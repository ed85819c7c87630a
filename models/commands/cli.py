"""The commands `readfirst models …`; each is a file beside this one. Torch is imported only where it computes."""

from __future__ import annotations

from collections.abc import Callable

import typer

from models.commands.add import add
from models.commands.backbone.finetune import finetune
from models.commands.backbone.pretrain import pretrain
from models.commands.data.simulate import simulate
from models.commands.evaluate import evaluate
from models.commands.export import export
from models.commands.federate import app as federate
from models.commands.labels.findings import list_findings
from models.commands.labels.label_reports import label_reports
from models.commands.list_packages import list_packages
from models.commands.predict import predict
from models.commands.show import show
from models.commands.train import train
from models.commands.verify import verify

app = typer.Typer(help="Model packages: a card (card.toml) and the weights that it names.", no_args_is_help=True)
COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_packages,
    "show": show,
    "verify": verify,
    "add": add,
    "export": export,
    "train": train,
    "label-reports": label_reports,
    "predict": predict,
    "pretrain": pretrain,
    "finetune": finetune,
    "evaluate": evaluate,
    "simulate": simulate,
    "findings": list_findings,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(federate, name="federate")
