"""Reads the headers of video codecs bit by bit."""


class HeaderBits:
    """The bits of some bytes, the highest of each byte first.

    Every read raises IndexError beyond the end.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def number(self, count: int) -> int:
        """The next `count` bits as a number."""
        end = self._place + count
        if end > 8 * len(self._data):
            raise IndexError
        first, last = self._place // 8, (end + 7) // 8
        value = int.from_bytes(self._data[first:last]) >> (8 * last - end)
        self._place = end
        return value & (1 << count) - 1

    def exponential(self) -> int:
        """The next number in the Exponential-Golomb code of order 0 (`ue(v)`, `uvlc()`)."""
        zeros = 0
        while not self.number(1):
            zeros += 1
            if zeros > 31:
                raise IndexError
        return (1 << zeros) - 1 + self.number(zeros)
