"""What pages show, as plain values: a task's status, a flow, the state of a row in words.

The components draw them; a file here has the name of the one in `components/` that draws it.
"""
