"""Try-ons, at once or as jobs."""
