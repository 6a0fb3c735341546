"""The terminal: a real Textual application against a real server whose answers are written beforehand."""
