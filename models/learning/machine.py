"""Where and how a training computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.errors import RunError


@dataclass(frozen=True, slots=True)
class Machine:
    """A device and its helpers; another one gives the same result but for rounding."""

    device: torch.device
    workers: int = 0


def machine(device: str, workers: int) -> Machine:
    """The machine of a device's name, or of "auto"; RunError where there is none of that name."""
    name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"The device {name!r} cannot be used ({reason}); give --device cpu.") from error
    return Machine(torch.device(name), workers)


def autocast(machine: Machine, precision: str) -> torch.autocast:
    """Products in bfloat16 where `precision` is "bf16"; in "fp32" nothing changes."""
    return torch.autocast(machine.device.type, torch.bfloat16, enabled=precision == "bf16")
