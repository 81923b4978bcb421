"""Parts that pages of several menu items have: tables, filters, forms, sentences of the audit."""
