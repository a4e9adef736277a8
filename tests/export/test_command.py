"""The command python -m verify.export: it says the size first, refuses with the way out, and
verifies what comes back."""

import json
import sys

import numpy as np
import pytest

from construct.export.back import read_tensors
from construct.export.checkpoint import save_tensors
from verify import cli
from verify.export.__main__ import PROG, main


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process; returns its exit code, stdout and stderr."""

    def command(*options: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["export", *map(str, options)])
        with pytest.raises(SystemExit) as end:
            cli.run(main, PROG)
        out, err = capsys.readouterr()
        code = end.value.code
        return (code if isinstance(code, int) else 1, out, err)

    return command


RANDOM = ("--random", "--K", 2, "--d", 3, "--m", 3, "--n", 3)


def test_it_exports_and_what_comes_back_still_holds(run, tmp_path):
    folder = tmp_path / "new" / "folder"
    code, out, _ = run(*RANDOM, "--to", "transformerlens", "--out", folder)
    assert code == 0 and out.index("MB") < out.index("wrote")
    code, out, _ = run("--back", folder)
    assert code == 0 and "lemmas that still hold: lift, pair, recognize" in out


def test_a_state_dict_that_does_not_hold_is_code_1(run, tmp_path):
    folder, report = tmp_path / "folder", tmp_path / "report.json"
    assert run(*RANDOM, "--to", "transformerlens", "--out", folder, "--json", "-")[0] == 0
    tensors = read_tensors(folder / "model.safetensors")
    tensors["blocks.6.attn.W_O"] = 2 * tensors["blocks.6.attn.W_O"]
    tensors["unembed.W_U"] = tensors["unembed.W_U"] + np.float32(1)
    save_tensors(tensors, tmp_path / "tuned.safetensors")
    code, out, err = run(
        "--back", folder, "--state-dict", tmp_path / "tuned.safetensors", "--json", report
    )
    assert code == 1 and "not the theorem's: unembed" in out and "any more" in err
    found = json.loads(report.read_text())
    assert not found["holds"] and not found["lemmas"]["superpose"] and found["lemmas"]["execute"]
    assert len(found["strays"]) == 1


def test_json_has_the_figures(run, tmp_path):
    code, out, _ = run(*RANDOM, "--to", "llama", "--out", tmp_path / "x", "--json", "-")
    found = json.loads(out)
    assert code == 0 and found["target"] == "llama" and found["theorem"] == 1
    assert found["bytes"] > 0 and 0 < found["error_bound"] < 1e-4
    assert {"README.md", "truth.json", "config.json"} <= set(found["files"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tasks", "verbs", "--rows", 153, "--to", "transformerlens"), "fewer words (--rows)"),
        (("--tasks", "verbs", "--to", "huggingface"), "use --theorem 4, or --to llama"),
        ((*RANDOM, "--to", "huggingface"), "has none: its tasks are on vectors"),
        (("--theorem", 4, "--random", "--to", "llama"), "Theorems 1 to 3"),
        ((*RANDOM, "--dtype", "float16", "--to", "llama"), "must be one of float32, float64"),
        (("--tasks", "verbs", "--split", "--to", "transformerlens"), "--theorem 4"),
        (("--tasks", "nothing.csv", "--to", "transformerlens"), "nothing.csv"),
        (("--to", "transformerlens"), "pass --tasks TABLE, --family NAME or --random"),
        (RANDOM, "--to: is needed"),
        ((*RANDOM, "--to", "llama", "--state-dict", "x"), "goes with --back"),
        (("--back", "nowhere"), "holds no export"),
        (("--theorem", 4, "--family", "AB", "--to", "huggingface"), "several inputs at once"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(run, tmp_path, options, message):
    out = () if "--back" in options else ("--out", tmp_path / "x")
    code, _, err = run(*options, *out)
    assert code == 2 and message in err and len(err.splitlines()) == 1
    assert not (tmp_path / "x").exists()
