"""The assistant on the device: knowledge, engine, and the `bedside` command."""
