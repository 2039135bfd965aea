"""Demonstrations: reading, writing, checking, and cutting into windows."""

from suffuse.policy.data.demonstrations import Demonstrations, concatenate
from suffuse.policy.data.files import format_of, read_demonstrations, write_demonstrations
from suffuse.policy.data.lerobot_read import read_lerobot
from suffuse.policy.data.lerobot_write import write_lerobot
from suffuse.policy.data.report import Finding, Report, examine
from suffuse.policy.data.robomimic import read_robomimic, write_robomimic
from suffuse.policy.data.video import read_video, write_video
from suffuse.policy.data.windows import Batch, WindowBatches, window_rows
from suffuse.policy.data.zarr_buffer import read_zarr, write_zarr

__all__ = [
    "Batch",
    "Demonstrations",
    "Finding",
    "Report",
    "WindowBatches",
    "concatenate",
    "examine",
    "format_of",
    "read_demonstrations",
    "read_lerobot",
    "read_robomimic",
    "read_video",
    "read_zarr",
    "window_rows",
    "write_demonstrations",
    "write_lerobot",
    "write_robomimic",
    "write_video",
    "write_zarr",
]
