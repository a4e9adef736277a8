"""Runtime checks of every annotation, and the Hypothesis profile.

The import hook must be in place before the packages are imported: pytest loads this file before any test module.
"""

from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from tests import annotations

install_import_hook(("construct", "proofs", "verify"), f"{annotations.__name__}.check")

# No deadline: an example may have to compile. A failure prints the blob that reproduces it.
settings.register_profile("tests", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
