"""Plan, schedule, run and store trials; the command line.

``Sweep -> [TrialSpec] -> schedule -> run_trial -> Record -> store``
"""

import datasets

if not hasattr(datasets, "make_task"):
    raise ImportError(
        f"the package `datasets` at {getattr(datasets, '__file__', None)} is not Lacuna's, which has the "
        "same name: uninstall the other one, or give Lacuna an environment of its own"
    )
