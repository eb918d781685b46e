"""Every Serve deployment, thin, one a file; the only user of `ray.serve`."""
