"""Throughput and waits of jobs."""
