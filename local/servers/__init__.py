"""PostgreSQL and Valkey on this machine, and the processes that they run in."""
