"""The HTTP API: OpenAI's shapes over the engine, on a unix socket or the loopback. The only place that imports FastAPI."""
