"""The command `python -m verify.theorem1`: draw random tasks and prompts, build, run, and check
every lemma."""

from verify import command
from verify.theorem1 import THEOREM1

if __name__ == "__main__":
    command.run(THEOREM1)
