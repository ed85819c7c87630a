"""What each viewer can show: one file each, which registers its profile. A new viewer is a new file here."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
