"""The demonstration model: its texts and its training."""
