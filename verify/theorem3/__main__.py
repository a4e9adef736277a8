"""The command `python -m verify.theorem3`: draw random tasks and prompts, build, run, and check
every lemma."""

from verify import command
from verify.theorem3 import THEOREM3

if __name__ == "__main__":
    command.run(THEOREM3)
