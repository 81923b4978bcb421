"""The engine: moves staged rows from shop All to bonus servers, each row exactly once.

How a chunk moves (`move/chunk.py`, one transaction of the bonus server):

1. `move/transfer.py` locks the position (`position.py`, `bonus_server/positions.py`) and names the
   batch to read in the log of shop All (`shop_all/batch_log.py`).
2. `move/plan.py` checks that shop All is the database that the position has read
   (`shop_all/identity.py`), and selects the rows of the chunk, each with the code of the check
   that it fails (`checks.py`), sorted for the bonus server's index.
3. `move/stream.py` copies them into the temporary table `incoming` of the bonus server
   (`move/receive.py`); `move/read_ahead.py` begins to read the next chunk.
4. One SQL statement of the kind (`kinds.py`) applies the good rows, those that replace rejected
   ones last (`move/replacements.py`); `move/refusals.py` finds the rows that the vendor's table
   refuses.
5. `bonus_server/rejects.py` writes the rejects, the position moves, `move/commit.py` commits.

`move/prepare.py` checks both sides before the first chunk. Only `restore/` repairs after a restore.
`shop_all/source.py` and `bonus_server/database.py` hold the objects that a run needs; each of them
knows one thing and gets the connection (`postgres/database.py`) handed over. The SQL is at the top
of each module; a comment says what a statement returns and which index serves it. Nothing here
knows Django, the history or the pages. Why it is exact: docs/EXACTLY-ONCE.md.
"""
