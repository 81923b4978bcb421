"""The rules of the ledger without databases, random histories of them, and what must be true.

The rules: `rows`, `names`, `shop_all`, `bonus_server`, `chunk`, `balances`, `latest_values`,
`beginning`, `installation`. What must be true: `oracle`, which shares no code with them. Random
histories: `world`, `histories`, `two_shop_alls`. `controls` lists the rules that can be taken out.
"""
