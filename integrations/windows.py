"""Sliding-window counters in Valkey or Redis: one round trip counts many callers' requests.

The algorithm is the one of the package `limits`, which counts the same way in memory. Its own
scripts need two round trips for each request: one to count it, one to read the remaining quota.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

SCRIPT = """
-- A sliding window counter. The count of the previous window is weighted by the share of it that
-- lies inside the window that ends now. A key holds the start of its current window, the count in
-- it, and the count in the previous one. All callers use the server's clock.
local width = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for place, key in ipairs(KEYS) do
  local quota = tonumber(ARGV[place + 1])
  local state = redis.call('GET', key) or ''
  local began, count, before = string.match(state, '(%d+) (%d+) (%d+)')
  if not began or now - began >= 2 * width then
    began, count, before = now, 0, 0
  elseif now - began >= width then
    began, count, before = began + width, 0, count
  end
  local gone = math.max(0, now - began)
  local weight = math.floor(before * (width - gone) / width)
  local is_counted = weight + count < quota
  if is_counted then
    count = count + 1
    state = string.format('%d %d %d', began, count, before)
    redis.call('SET', key, state, 'PX', 2 * width)
  end
  -- Whole milliseconds only: with fractions, the time until the next free place could be too short.
  local rest = weight > 0 and math.ceil(weight * width / before) or 0
  answer[#answer + 1] = is_counted and 1 or 0
  answer[#answer + 1] = math.max(0, quota - weight - count)
  answer[#answer + 1] = width - rest - gone + 1
end
return answer
"""


class QuotaUse(NamedTuple):
    """One request of a caller, who may make `quota` requests in a window."""

    key: str
    quota: int


class WindowState(NamedTuple):
    """The state of a caller's window after a request.

    Attributes:
        is_counted: whether the request was within the quota.
        remaining: how many more requests are within the quota now.
        retry_after_ms: the time until one more request is.
    """

    is_counted: bool
    remaining: int
    retry_after_ms: int


def read_windows(numbers: Sequence[int]) -> Iterator[WindowState]:
    """The script's answer, three numbers for each request, as states."""
    for is_counted, remaining, retry_after_ms in zip(*[iter(numbers)] * 3, strict=True):
        yield WindowState(bool(is_counted), remaining, retry_after_ms)
