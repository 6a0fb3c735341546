"""Is this machine fit to answer, and does nothing leave it: checks -> lines -> table or JSON; the proof is in `egress`."""
