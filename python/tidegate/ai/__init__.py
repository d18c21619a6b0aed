"""What the AI gateway keeps and knows in Python: providers, prices, keys, and the ledger of usage.

Knows: the state directory's database, the journal's segments, the price list.
Never: the engine, a request on its way.
"""
