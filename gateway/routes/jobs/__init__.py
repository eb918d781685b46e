"""Routes of jobs, and the streams of their events."""
