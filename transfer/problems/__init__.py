"""What is wrong at this moment. The overview, messages, /health, /metrics and doctor read it here.

`find` lists the problems. `outages` folds all that is wrong with one server into one of them, and
`groups` shows many that are alike in one line. `incidents` notes when each began and ended, and
`history` reads what is over. `doors` says what is true of a server's ports and database. To add a
problem: a member of `kinds.Code` and its record there, and a function of an `of_…` module that
finds it.
"""
