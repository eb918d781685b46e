"""Clients of other systems (blob stores, cache, OpenID, PayPal, web), and limits around them."""
