"""Heavy work: jobs are rows in PostgreSQL, whoever runs them is disposable."""
