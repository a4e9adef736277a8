"""The notebook runs from top to bottom as it is, in its own folder, where Jupyter starts it; it
draws its figures, and its numbers hold."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "proofs" / "walkthrough.ipynb"
# In a process of its own: the kernel's client leaves sockets to the garbage collector, which warns.
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
folder = {"metadata": {"path": sys.argv[3]}}
NotebookClient(notebook, timeout=120, kernel_name="python3", resources=folder).execute()
nbformat.write(notebook, sys.argv[2])
"""


def execute(notebook, executed):
    """Run a notebook in the folder of the walkthrough, as Jupyter does; returns the finished
    process."""
    command = [sys.executable, "-c", RUN, str(notebook), str(executed), str(NOTEBOOK.parent)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_the_walkthrough_runs(tmp_path):
    done = execute(NOTEBOOK, tmp_path / "executed.ipynb")
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(tmp_path / "executed.ipynb", as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert "10 of 11 examples count" in text and text.count("refused:") == 2 and "example 0" in text
    assert -1.1 < float(text.rpartition("exp(")[2].partition(" T")[0]) < -0.9
    assert not [output for output in outputs if output.get("name") == "stderr"]


@pytest.mark.slow
def test_a_failing_cell_fails(tmp_path):
    notebook = tmp_path / "failing.ipynb"
    nbformat.write(
        new_notebook(cells=[new_code_cell("raise AssertionError('on purpose')")]), notebook
    )
    done = execute(notebook, tmp_path / "executed.ipynb")
    assert done.returncode != 0 and "on purpose" in done.stderr


def test_the_walkthrough_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(
        cell.outputs or cell.execution_count for cell in notebook.cells if cell.cell_type == "code"
    )
