"""Accounts: sign-up, sign-in, sessions, export and removal."""
