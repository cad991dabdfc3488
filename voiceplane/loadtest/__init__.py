"""`voiceplane loadtest`: makes many calls at once on a local server, through its public API, and measures them.

Two processes beside the server. The *driver* (`run.py` and what it uses) speaks REST and WebSocket and judges; the
*generator* (`generator.py` and what it uses) owns the media: ICE, DTLS, SRTP and every packet. They talk in JSON lines
over the generator's stdin and stdout, and the generator ends when its stdin does, however the driver ended.
"""
