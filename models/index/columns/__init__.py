"""The columns of an index's rows: what filters, facets, sorts and groups look at."""
