"""The seven Serve deployments, one a file, with their handles and the models' profile."""
