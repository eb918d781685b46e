"""Heavy work: jobs are rows in PostgreSQL, whoever runs them is disposable.

Read `claim` (what a worker holds), `retry` (what becomes of a failure), `runner` (one attempt),
`dispatcher` (who starts attempts), in this order; `handlers` says what there is to run.
"""
