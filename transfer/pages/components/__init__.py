"""The HTML that pages repeat: each component is a function that returns a safe piece of it.

Templates use the components as tags (`templatetags/transfer_ui.py`), tables call them for their
cells. HTML is built here and in templates only; ruff refuses Django's builders elsewhere.

Python draws a single element, and what a page repeats hundreds of times; the rest is templates.
Measured, one piece by Python and by a cached template, in µs: a mark of a strip, a square of the
grid or a bar (f-strings) 1.2 and 63, a row of a table 2.8 and 82; by `format_html` a register's
name 16 and 40, a delivery of a traced row 33 and 40, an entry of the audit 105 and 168. With 250
entries a page of the audit would take 16 ms longer, with 6,000 squares the grid 0.4 s.
"""
