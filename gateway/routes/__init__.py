"""The routes, one file for each area; a route's signature says who may call it."""
