"""Limits on what decoding an untrusted picture may cost, checked on its bytes before decoding."""
