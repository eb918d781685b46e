"""A PayPal simulator: Orders v2 over HTTP, with simulated payments and faults on demand."""
