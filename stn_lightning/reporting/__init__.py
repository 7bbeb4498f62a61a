"""Tables of finished runs. Nothing here needs torch."""

from stn_lightning.reporting._formats import FORMATS, duration
from stn_lightning.reporting._read import SUMMARY, LeftOut, Run, find_runs
from stn_lightning.reporting._rows import Row, rows

__all__ = ["FORMATS", "SUMMARY", "LeftOut", "Row", "Run", "duration", "find_runs", "rows"]
