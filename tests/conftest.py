"""For all tests: one thread a process, as every trial has, and no trace of the user's own settings."""

from __future__ import annotations

import os

# before numpy and torch are imported: they read it once
os.environ["OMP_NUM_THREADS"] = "1"
