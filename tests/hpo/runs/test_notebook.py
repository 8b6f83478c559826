"""The tool in a notebook: a real kernel runs its cells."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from cluster.host.processes import is_running, wait_until

pytestmark = pytest.mark.slow

IMPORT = "from hpo import StudySpec, load_run, run_study"
FIRST = """
usual = dict(model="mlp_small", dataset="digits", epochs=1, finalists=0, range={"lr": (1e-3, 1e-2, "log")})
result = run_study(StudySpec.of(**usual, trials=2, name="first"))
result
"""
SECOND = """
second = run_study(StudySpec.of(**usual | {"epochs": 2}, trials=1, name="second", set={"activation": "gelu"}))
print(second.state, second.best["activation"], len(second.frame))
"""
RAY = """
import os, ray
from pathlib import Path
from cluster.host.processes import descendants
names = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in descendants(os.getpid())}
print(ray.is_initialized(), *(pid for pid, name in names.items() if name in ("raylet", "gcs_server")))
"""
RESUMED = """
more = run_study(StudySpec.of(resume="first", trials=3))
print(more.state, list(more.frame["epochs"]))
"""
INTERRUPTED = """
import os, signal, threading, time
from pathlib import Path
def interrupt():
    while not Path("results/long/trials.jsonl").is_file() or not Path("results/long/trials.jsonl").stat().st_size:
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
long = run_study(StudySpec.of(**usual, trials=500, name="long"))
print(long)
"""
LOADED = 'print(load_run("first"))'
WRONG = """
class Net: ...
try:
    StudySpec.of(model=Net)
except ValueError as error:
    print(error)
"""


def test_a_notebook_runs_resumes_interrupts_and_loads(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    begin = f"import sys; sys.path.insert(0, {str(root)!r})\n{IMPORT}"
    cells = [begin, FIRST, RAY, SECOND, RAY, RESUMED, INTERRUPTED, LOADED, WRONG]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(tmp_path)}}).execute()
    first, before, second, after, resumed, interrupted, loaded, wrong = (outputs(cell) for cell in notebook.cells[1:])
    assert "models:  mlp_small" in first and "2/2 trials" in first and "2 completed; best " in first
    assert "results/first: complete, 2 finished trials" in first
    assert "<table" in first and "data:image/png;base64," in first
    assert "complete gelu 1" in second
    # One Ray for all of them, which ends with the kernel.
    (is_joined, *processes) = before.split()
    assert before == after and is_joined == "False" and len(processes) == 2  # a ray.init of the user's is the user's
    assert wait_until(lambda: not any(is_running(int(pid)) for pid in processes), 20)
    assert "complete [1, 1, 1]" in resumed
    assert "results/long: interrupted" in interrupted
    assert "to go on: run_study(StudySpec.of(resume='long'))" in interrupted
    assert loaded.startswith("results/first: complete, 3 finished trials")
    assert "give model='nets.py:Net'" in wrong


def outputs(cell: nbformat.NotebookNode) -> str:
    """Everything that a cell has shown."""
    texts = []
    for output in cell.outputs:
        texts += [output.text] if "text" in output else list(output.get("data", {}).values())
    return "".join(texts)
