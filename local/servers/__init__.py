"""PostgreSQL and Valkey on this machine, and their processes."""
