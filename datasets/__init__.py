"""Tables, holes and tasks.

>>> import datasets
>>> table = datasets.load("breast_cancer")
>>> task = datasets.make_task(table, mechanism="mcar", ratio=0.3, mask_seed=0)
>>> task.train.visible.shape, int(task.train.hidden.sum())
((569, 30), 5121)
"""

from datasets.files import FetchError
from datasets.library import aliases, fetch, fingerprint, info, load, names, resolve
from datasets.mask import Mask, describe_mask, draw_mask
from datasets.missingness import MechanismInfo, ampute, mask_hash, mechanisms, resolve_mechanism
from datasets.naming import UnknownNameError
from datasets.table import DatasetInfo, Source, Table
from datasets.task import Protocol, Split, Task, make_task, protocols, resolve_protocol

__all__ = [
    "DatasetInfo",
    "FetchError",
    "Mask",
    "MechanismInfo",
    "Protocol",
    "Source",
    "Split",
    "Table",
    "Task",
    "UnknownNameError",
    "aliases",
    "ampute",
    "describe_mask",
    "draw_mask",
    "fetch",
    "fingerprint",
    "info",
    "load",
    "make_task",
    "mask_hash",
    "mechanisms",
    "names",
    "protocols",
    "resolve",
    "resolve_mechanism",
    "resolve_protocol",
]
