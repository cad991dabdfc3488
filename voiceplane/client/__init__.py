"""The other end of the wire: parties of a call, driven from Python. Knows the REST contract and no server code."""
