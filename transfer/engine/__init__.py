"""The engine: moves staged rows from shop All to bonus servers, each row exactly once.

The rows of one transaction in a staging table are a changeset. The log of shop All numbers the
changesets (`shop_all/log.py`, `log_writer.py`). Each bonus server keeps which of them it has
received: its position, receipts and exceptions (`received.py`, `bonus_server/positions.py`).

How a chunk moves (`move/chunk.py`, one transaction of the bonus server):

1. `move/transfer.py` locks the position.
2. `move/plan.py` chooses the next lines of the log, and leaves out what was received before. If the
   log lacks the position's line, shop All was restored: `move/fork.py` puts the position back to
   the last line that both sides have.
3. `shop_all/rows.py` reads their rows, each with the code of the check that it fails (`checks.py`).
   `move/stream.py` copies them into the temporary table `incoming` of the bonus server;
   `move/read_ahead.py` begins to move those of the next chunk. As many rows have to arrive of each
   line as the log says.
4. One SQL statement of the kind (`kinds.py`) applies the good rows: `quick`, and if that fails
   `apply`. `move/dependents.py` decides what rows do that correct, take back or set the amount of
   other rows. `move/refused_rows.py` finds the rows that the vendor's table refuses.
5. `bonus_server/rejects.py` writes the rejects, `positions.py` the receipts, exceptions and
   position. Then the transaction is committed.

Before the first chunk, `move/transfer.py` checks our tables on both sides and adds the lines of
what was staged since to the log (`log_writer.py`). What people decide: `begin.py` (where a position
begins), `question.py` (whether this is the right shop All), `skip.py` and
`shop_all/gone.py` (rows that servers do without).
`shop_all/source.py` and `bonus_server/database.py` hold the objects that a run needs; each of them
knows one thing and gets the connection (`postgres/database.py`) handed over. The SQL is at the top
of each module; a comment says what a statement returns and which index serves it. Nothing here
knows Django, the history or the pages. Why it is exact: docs/EXACTLY-ONCE.md.
"""
