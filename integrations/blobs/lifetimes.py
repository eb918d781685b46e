"""The lifetime of an upload's URL, and the time after which no upload can arrive any more."""

from datetime import timedelta

UPLOAD_LIFETIME_S = 900
ARRIVAL_S = 900
"""How long an upload may continue to arrive after its URL has expired."""
CLOCK_SKEW_S = 300
UPLOAD_END = timedelta(seconds=UPLOAD_LIFETIME_S + ARRIVAL_S + CLOCK_SKEW_S)
"""The time from the presigning after which no upload can arrive any more."""
