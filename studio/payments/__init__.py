"""Orders, captures, refunds and PayPal's events."""
