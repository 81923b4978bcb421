"""Looks at an installation as a whole: everything that can be wrong, and what to do about it."""
