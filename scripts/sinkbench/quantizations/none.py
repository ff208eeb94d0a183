"""The weights as they are, in the dtype of the config."""


def quantize(model):
    """The same model."""
    return model
