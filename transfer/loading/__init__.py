"""Files into the staging tables: read, checked by the database, previewed, loaded once.

1. `receive.py` stores the file, or the rows of a call of the API (`load_once.py`).
2. `upload_job.py` reads it.
3. `loader.py` checks its lines in a temporary table of shop All and, after the confirmation,
   inserts the good ones in one transaction.

`undo_load.py` takes a load back, with `shop_all/undo.py` and `move/dependents.py` of the engine.
"""
