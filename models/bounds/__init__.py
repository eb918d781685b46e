"""Limits on the cost of decoding an untrusted picture, checked on its bytes before decoding."""
