"""The engine: one model, one context, one request at a time, streamed, measured and stoppable."""
