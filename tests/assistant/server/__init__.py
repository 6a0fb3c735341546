"""The HTTP API, through real sockets."""
