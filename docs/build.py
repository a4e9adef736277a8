"""Build the documentation into site/, strictly: a warning is an error. `make docs` calls it."""

import sys
from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[1]

if __name__ == "__main__":
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    print(f"wrote {Path(config.site_dir).relative_to(ROOT)}/index.html", file=sys.stderr)
