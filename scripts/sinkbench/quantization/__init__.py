"""Number formats of the weights: an implementation is a module, a format with its options a row of `table`.

`quantize(model, names, **options)` of an implementation replaces the weights of every linear layer whose last
name is one of `names`, in place, and returns the model; it raises errors.Unavailable with the reason.
"""
