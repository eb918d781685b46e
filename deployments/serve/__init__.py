"""The plumbing around Ray Serve: how replicas are prepared, listen, log, and reach each other."""
