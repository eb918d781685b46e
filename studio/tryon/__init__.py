"""Try-ons, run directly or as jobs."""
