"""Compiled programs, kept from one run of a command to the next in the user's cache folder.

By JAX's persistent compilation cache, with JAX's own switches: JAX_ENABLE_COMPILATION_CACHE=false
turns it off, and where JAX_COMPILATION_CACHE_DIR names a folder that one is used. Commands alone do
this; `import construct` leaves JAX's settings alone.
"""

import hashlib
import os
import platform
import re
from pathlib import Path
from typing import Any

LARGEST = 1 << 28  # bytes of the folder, of which the programs used least recently are given up
QUICK = 0.05  # seconds: a program that compiles faster is not worth a file


def keep() -> None:
    """Use the cache in this process; where there is no folder to write to, do without."""
    import jax

    # As attributes: config.read refuses a switch that can be set for a while, as this one can.
    config: Any = jax.config
    if not config.jax_enable_compilation_cache or config.jax_compilation_cache_dir:
        return
    try:
        place = folder()
        place.mkdir(parents=True, exist_ok=True)
        prune(place, LARGEST)
    except (OSError, RuntimeError):  # no home, or no right to write there
        return
    if not os.access(place, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", QUICK)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def folder() -> Path:
    """Where programs for this kind of processor are kept: a home may be shared by several, and what
    was compiled for one need not run on another."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "superposed-tasks" / f"{platform.machine()}-{_abilities()}"


def _abilities() -> str:
    """A short name of what this processor can do."""
    try:
        flags = re.search(r"^(flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        flags = None
    text = flags.group(2) if flags else platform.processor()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def prune(place: Path, largest: int) -> None:
    """Delete the files used least recently until the folder is no larger than that."""
    files = [(one.stat(), one) for one in place.iterdir() if one.is_file()]
    total = sum(stat.st_size for stat, _ in files)
    for stat, one in sorted(files, key=lambda pair: max(pair[0].st_atime, pair[0].st_mtime)):
        if total <= largest:
            return
        one.unlink(missing_ok=True)  # another process may have been faster
        total -= stat.st_size
