"""Streaming attention: over whole chunks (exact evaluation, prefill) and over a ring (decoding)."""
