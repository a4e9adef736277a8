"""The command `python -m verify.theorem4`: draw random tasks and prompts, build, run, check every
lemma, and hold the law of whole answers by going through all of them."""

from verify import cli
from verify.theorem4 import command

if __name__ == "__main__":
    cli.run(command.main, command.PROG)
