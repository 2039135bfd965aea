"""Lists of segments and times out of text, many records at once.

Dimensions: k cells of text, m tokens in all of them together.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int
from numpy import ndarray

LATEST = 4_102_444_800.0
"""1 January 2100 in Unix seconds: larger numbers are milliseconds, or no times at all."""


def split_cells(cells: pa.Array) -> tuple[Int[ndarray, " k"], pa.Array]:
    """How many tokens each cell of text holds, and all tokens: brackets and quotes go, commas, semicolons, spaces part.

    A time may hold a space between date and clock, so spaces part only in columns without a comma or semicolon.
    """
    bare = pc.replace_substring_regex(cells, pattern=r"""[\[\]"']""", replacement="")
    has_commas = pc.any(pc.match_substring_regex(bare, "[,;]")).as_py()
    one_space = pc.replace_substring_regex(bare, pattern="[,;]" if has_commas else r"\s+", replacement="\x1f")
    trimmed = pc.utf8_trim(pc.utf8_trim_whitespace(one_space), characters="\x1f ")
    lists = pc.split_pattern(trimmed, "\x1f")
    count = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    tokens = pc.list_flatten(lists)
    empty = np.asarray(pc.equal(trimmed, "").to_numpy(zero_copy_only=False), dtype=bool)
    if empty.any():
        tokens = tokens.filter(pa.array(~np.repeat(empty, count)))
        count = np.where(empty, 0, count)
    return count, pc.utf8_trim_whitespace(tokens)


def parse_ids(tokens: pa.Array) -> tuple[Int[ndarray, " m"], Bool[ndarray, " m"]]:
    """Whole numbers, and where there was none (there the number is 0)."""
    try:
        return tokens.cast(pa.int64()).to_numpy(zero_copy_only=False), np.zeros(len(tokens), dtype=bool)
    except pa.ArrowInvalid:
        good = pc.match_substring_regex(tokens, r"^-?[0-9]{1,18}$")
        numbers = pc.if_else(good, tokens, pa.scalar("0", tokens.type)).cast(pa.int64())
        return numbers.to_numpy(zero_copy_only=False), ~good.to_numpy(zero_copy_only=False).astype(bool)


def parse_times(tokens: pa.Array) -> Float[ndarray, " m"]:
    """Unix seconds from ISO 8601 (UTC unless it says otherwise) or from Unix seconds; NaN where it is neither."""
    number = pc.match_substring_regex(tokens, r"^[0-9]{1,12}([.][0-9]*)?$").to_numpy(zero_copy_only=False).astype(bool)
    seconds = np.full(len(tokens), np.nan)
    seconds[number] = tokens.filter(pa.array(number)).cast(pa.float64()).to_numpy(zero_copy_only=False)
    # pandas also understands "now" and "today", which would make a file mean something else every day.
    dated = ~number & pc.match_substring_regex(tokens, r"^[0-9]{4}-?[0-9]").to_numpy(zero_copy_only=False).astype(bool)
    if dated.any():
        text = tokens.filter(pa.array(dated)).to_pandas()
        seconds[dated] = to_unix(pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce"))
    seconds[seconds > LATEST] = np.nan
    return seconds


def to_unix(times: "pd.Series[pd.Timestamp]") -> Float[ndarray, " m"]:
    """Unix seconds of aware timestamps; NaN for those that are missing."""
    naive = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(naive), np.nan, naive.astype(np.int64) / 1e6)
