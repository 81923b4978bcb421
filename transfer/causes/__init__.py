"""The causes: all that can go wrong, one file a subject. `catalogue.py` has all of them by code.

Code raises `TransferError` with a cause and its parameters. A run, a job or a load saves the code
and the parameters, and `text.explain` makes the sentence from them in the reader's language.
"""
