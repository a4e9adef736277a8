"""Commands keep their compiled programs in the user's cache folder; `import construct` changes no
setting of JAX's."""

import os
import subprocess
import sys

import pytest

from verify import programs

KEPT = """
import jax, jax.numpy as jnp
from verify import programs
programs.keep()
programs_before = list(programs.folder().glob("*")) if jax.config.jax_compilation_cache_dir else []
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: x @ x.T + 1)(jnp.ones((3, 3))).block_until_ready()
print(jax.config.jax_compilation_cache_dir, len(programs_before))
"""
UNTOUCHED = """
import os, jax
before = {name: getattr(jax.config, name, None) for name in jax.config.values}
surroundings = dict(os.environ)
import construct
assert before == {name: getattr(jax.config, name, None) for name in jax.config.values}
assert surroundings == dict(os.environ)
"""


def python(code, home, **more):
    """What a process prints, with this folder for the user's cache and JAX's switches as `more` has
    them."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    surroundings = clean | {"XDG_CACHE_HOME": str(home)} | more
    run = subprocess.run(
        [sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def test_the_second_process_finds_what_the_first_compiled(tmp_path):
    place, before = python(KEPT, tmp_path).rsplit(" ", 1)
    assert place.startswith(str(tmp_path)) and before == "0"
    again, before = python(KEPT, tmp_path).rsplit(" ", 1)
    assert again == place and int(before) > 0


def test_jax_s_own_switches_are_obeyed(tmp_path):
    assert python(KEPT, tmp_path, JAX_ENABLE_COMPILATION_CACHE="false").startswith("None")
    elsewhere = str(tmp_path / "elsewhere")
    assert python(KEPT, tmp_path, JAX_COMPILATION_CACHE_DIR=elsewhere).startswith(elsewhere)
    assert not list(tmp_path.glob("superposed-tasks/*"))


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path):
    occupied = tmp_path / "file"
    occupied.touch()
    assert python(KEPT, occupied).startswith("None")


def test_importing_construct_changes_no_setting(tmp_path):
    python(UNTOUCHED, tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        python(
            UNTOUCHED.replace(
                "import construct\n", "from verify import programs; programs.keep()\n"
            ),
            tmp_path,
        )


def test_the_programs_used_least_recently_are_given_up(tmp_path):
    for age, name in enumerate("abcd"):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (100 - age, 100 - age))
    programs.prune(tmp_path, 40)
    assert len(list(tmp_path.iterdir())) == 4
    programs.prune(tmp_path, 25)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b"]
