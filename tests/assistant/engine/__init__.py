"""The engine: scheduler, slots, drafts, plans."""
