"""What must hold before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys


def test_another_package_called_datasets_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("")
    result = subprocess.run(
        [sys.executable, "-c", "import orchestrator"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert str(tmp_path) in result.stderr
    assert "environment of its own" in result.stderr


def test_the_command_line_starts_without_ray_or_torch():
    code = "import sys, orchestrator.cli; print({'ray', 'torch'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
