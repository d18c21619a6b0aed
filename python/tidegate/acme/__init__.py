"""Certificates by ACME: fetched, kept, renewed in time.

`schedule` says when, `store` keeps, `authority` talks, `dress` puts into a plan, `renewal` runs it all.

Knows: orders, the state directory, the clock.
Never: the engine; a plan is handed to the gateway, which swaps it as it swaps any other.
"""
