"""What needs a second person. Every way by which rows enter asks `gate.entering` before it stages.

1. `rows.py` sums up what would be staged: rows, the largest amount, the sum, users' own numbers.
2. `limits.py` compares that with the limits of the person or key, and says why it has to wait.
3. `gate.py` lets it pass and notes the entry, or raises NeedsSecondPerson.
4. The way that has asked stages nothing then, and has the rows wait in an upload
   (`models/approvals.py`), encrypted.
5. Once somebody else has approved, the same way runs again, from the rows: all checks are made
   again, and the gate compares the rows with those that were approved.

An approval is committed before anything is staged. The rows are staged under a name that shop All
takes once, so a process that dies in between, or two of them, stage them once.
"""
