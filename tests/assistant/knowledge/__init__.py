"""Tests of assistant.knowledge."""
