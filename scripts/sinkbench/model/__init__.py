"""Model families, loading, rotary embedding, a forward pass around a supplied attention, losses."""
