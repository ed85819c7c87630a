"""Every kind of result that a peer may get: one file each, which registers itself. A new kind is a new file here."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
