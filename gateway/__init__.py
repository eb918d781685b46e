"""HTTP: FastAPI routes, and the layers around them."""
