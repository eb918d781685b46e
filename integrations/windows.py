"""Sliding windows in Valkey or Redis: many callers' requests are counted in one round trip.

The rule is that of `limits`, which counts the same way in memory; its own scripts need two round
trips for each request, one to count it and one to say what is left.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

SCRIPT = """
-- The sliding window counter: what was counted in the window before weighs as much as of that
-- window still lies inside the one that ends now. A key holds when its window began, what was
-- counted in it, and in the one before. The server's clock is everybody's.
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
  local taken = weight + count < quota
  if taken then
    count = count + 1
    state = string.format('%d %d %d', began, count, before)
    redis.call('SET', key, state, 'PX', 2 * width)
  end
  -- Whole milliseconds throughout: shares would promise room a millisecond too soon at times.
  local rest = weight > 0 and math.ceil(weight * width / before) or 0
  answer[#answer + 1] = taken and 1 or 0
  answer[#answer + 1] = math.max(0, quota - weight - count)
  answer[#answer + 1] = width - rest - gone + 1
end
return answer
"""


class Take(NamedTuple):
    """One request of one caller, who may make `quota` in a window."""

    key: str
    quota: int


class Window(NamedTuple):
    """Whether the request had room, how many more have, and when there is room for one more."""

    taken: bool
    remaining: int
    more_in_ms: int


def read_answer(found: Sequence[int]) -> Iterator[Window]:
    """What the script gives: three numbers a caller."""
    for taken, remaining, more_in_ms in zip(*[iter(found)] * 3, strict=True):
        yield Window(bool(taken), remaining, more_in_ms)
