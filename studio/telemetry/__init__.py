"""Health, latencies and logs."""
