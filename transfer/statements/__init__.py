"""Statements for accountants: what was staged, received and decided in a period, signed.

The transaction that counts a chunk also adds to a day of its server (`ServerDay`) what the position
says more than when it was noted last; at first, all that the server has received by its name
(`Position.received`).

`period.py`: whole days. `count.py` adds up the days of servers, and reads the sums of the log in
one snapshot. `document.py` is the signed file, and knows no database. `keep.py` makes the next
statement of the chain, and signs it. `against.py` compares one with the databases. `log_days.py`
keeps the sums of a day of the log before its lines are purged. `copies.py` keeps copies of days and
statements in shop All, and takes back from there what our own database has lost.
"""
