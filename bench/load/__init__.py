"""Load runs: Tidegate, nginx and HAProxy in front of one origin, in interleaved rounds.

Knows: processes, /proc, wrk, the open-loop generator, strace, valgrind.
Never: the product's own modules; what is measured is started by its command and asked over loopback.
"""
