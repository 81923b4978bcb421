"""The machine of time: random and written histories of the product on real clusters.

`clusters` holds the databases and puts them back to earlier states. `world` is a history, `people`
what is done in shop All, `transfers` the runs and what a person answers. `steps` draws what comes
next, `histories` are written down. `oracle` compares rows, sums and rejects with what was staged;
it shares no code with the product.
"""
