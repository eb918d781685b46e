"""PayPal's REST API and its webhooks."""
