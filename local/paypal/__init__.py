"""A PayPal for this machine: Orders v2 over real HTTP, with toy money and faults on demand."""
