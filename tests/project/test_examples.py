import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.usefixtures("empty_figures")
def test_super_resolution_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(EXAMPLES / "super_resolution.py")
    example["main"](max_epochs=1, patches_per_image=8)
    (report,) = tmp_path.glob("runs/super_resolution/**/test/metrics.csv")
    assert "cat" in report.read_text()
