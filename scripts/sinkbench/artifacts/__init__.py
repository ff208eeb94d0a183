"""Files: written whole or not at all, with what they were made from; the hub's files on disk."""
