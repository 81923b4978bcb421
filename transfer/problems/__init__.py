"""What is wrong at this moment. The overview, messages, /health, /metrics and doctor read it here.

`find` lists the problems. `outages` folds all that is wrong with one server into one of them, and
`groups` shows many that are alike in one line. `incidents` notes when each began and ended, and
`history` reads what is over. `doors` says what is true of a server's ports and database. `taking`
notes who takes or mutes a problem. A run, port check, job or page that sees a part of a server fail
notes this in `models/outage_parts.py`. How to add a problem: docs/ARCHITECTURE.md.
"""
