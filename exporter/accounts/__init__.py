"""Accounts: tokens, what is presented where, and why it was refused."""
