"""The plumbing around Ray Serve."""
