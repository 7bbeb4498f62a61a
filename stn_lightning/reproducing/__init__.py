"""Tables of experiments, run by one command."""

from stn_lightning.reproducing._again import again, verdict
from stn_lightning.reproducing._cells import Group, groups
from stn_lightning.reproducing._job import Job, plan
from stn_lightning.reproducing._page import replace_part, save_pictures, written
from stn_lightning.reproducing._pool import Asked, Pool
from stn_lightning.reproducing._process import only_one
from stn_lightning.reproducing._results import Line, add_lines, read_lines
from stn_lightning.reproducing._slots import Slot, cores, gpus, slots
from stn_lightning.reproducing._stages import finished_line, next_stage
from stn_lightning.reproducing._table import Cell, Table, read_table

__all__ = [
    "Asked",
    "Cell",
    "Group",
    "Job",
    "Line",
    "Pool",
    "Slot",
    "Table",
    "add_lines",
    "again",
    "cores",
    "finished_line",
    "gpus",
    "groups",
    "next_stage",
    "only_one",
    "plan",
    "read_lines",
    "read_table",
    "replace_part",
    "save_pictures",
    "slots",
    "verdict",
    "written",
]
