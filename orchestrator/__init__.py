"""Plan, schedule, run and store trials; the command line.

``Sweep -> [TrialSpec] -> schedule -> run_trial -> Record -> store``
"""
