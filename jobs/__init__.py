"""Runs durable jobs: a job is a row in PostgreSQL, and any worker that runs it may die.

Read in this order: `claim` (the right to run a job once), `attempt` (one run of a handler),
`retry` (what follows a failure), `runner` (the Ray task around an attempt) and `dispatcher` (which
starts attempts). `registry` has the handler of every job type.
"""
