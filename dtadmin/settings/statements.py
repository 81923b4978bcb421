"""Statements for accountants."""

from dtadmin.environment import env

# A file with the Ed25519 key that signs them, PEM. Its text never comes in a variable.
STATEMENT_KEY = env("STATEMENT_KEY")
