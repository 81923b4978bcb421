"""The HTTP API, /api/v1/: the functions of the pages for programs, such as head office's ERP.

How a call is answered:
1. `door.answer` is the one view, of all addresses below /api/. It finds the key in the header
   Authorization, counts the call, and passes it on. No cookie is read. Every answer is JSON, errors
   as well.
2. `routes` finds the operation. Each asks for a scope of the key; one that says nothing asks for
   `read`.
3. An operation calls the function that the page calls, as an `Actor` with the key's name.

django-ninja is imported at the first call, so that commands and the tick do not pay for it.
"""
