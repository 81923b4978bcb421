"""What is wrong at this moment. The overview, messages, /health, /metrics and doctor read it here.

`find` lists the problems; `incidents` notes when each began and ended. To add a problem: a member
of `Code` with its topic, a sentence and a hint in `sentences`, and the function that finds it.
"""
