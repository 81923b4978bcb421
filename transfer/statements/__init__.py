"""Statements for accountants: what was staged, received and decided in a period, signed.

`period.py`: whole days. `count.py` counts them. `document.py` is the signed file, and knows no
database. `keep.py` makes the next statement of the chain. `against.py` compares one with the
databases.
"""
