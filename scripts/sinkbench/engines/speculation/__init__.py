"""Speculative decoding: a draft model proposes, the target verifies a block of tokens at once."""
