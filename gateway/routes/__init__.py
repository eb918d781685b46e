"""One file of routes an area; a route's signature says who may call it."""
