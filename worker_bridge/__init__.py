"""mediasoup for Python: drives the official native worker over its pipes.

A library of its own: it knows nothing of HTTP, of schemas for clients, or of calls. Start with ``Pool.running`` or
``Worker.running``.
"""
