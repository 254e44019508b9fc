"""Which imputer suits a table, and the filled table.

:func:`orchestrator.impute.verb.impute` does the work, for `lacuna.impute` and for the command line.
"""
