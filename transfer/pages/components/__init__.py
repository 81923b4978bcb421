"""The HTML that pages repeat: each component is a function that returns a safe piece of it.

Templates use the components as tags (`templatetags/transfer_ui.py`), tables call them for their
cells. HTML is built here and in templates only; ruff refuses Django's builders elsewhere. Where a
page repeats a piece for many rows it is Python, since a template takes several times as long.
"""
