"""The command `python -m verify.theorem2`: draw random tasks and prompts, build, run, and check
every lemma."""

from verify import command
from verify.theorem2 import THEOREM2

if __name__ == "__main__":
    command.run(THEOREM2)
