"""The one place that assigns colours: to cache policies in every figure, to the parts of a decode step."""

from matplotlib.colors import to_rgb

from sinkbench import registry
from sinkbench.results import step_parts

# Okabe & Ito (2008): told apart under every common form of colour blindness.
POLICIES = {
    "streaming": "#0072B2",
    "window": "#E69F00",
    "dense": "#D55E00",
    "recompute": "#009E73",
    "repeat_lookup": "#CC79A7",
    "lazy": "#56B4E9",
    "reprefill": "#000000",
    "select": "#B8A800",
}
FURTHER = ("#7F3C8D", "#8C564B", "#4D4D4D")  # for policies without a colour of their own
# None of a policy's, so that nobody takes a part for one.
PARTS = {
    step_parts.MLP: "#E8D690",
    step_parts.ATTENTION: "#332288",
    step_parts.PROJECTIONS: "#9C8FD6",
    step_parts.NORMS: "#7FCDBB",
    step_parts.HEAD: "#C0566B",
    step_parts.OTHER: "#777777",
    step_parts.ATTENTION_IDLE: "#D9D4EE",
    step_parts.IDLE: "#FFFFFF",
}
DARK_PARTS = (step_parts.ATTENTION, step_parts.HEAD, step_parts.OTHER)  # on which type is white
GREY = "#666666"


def colour(policy: str) -> str:
    """The colour of a policy; those that are not named above take the further ones in alphabetical order."""
    others = [word for word in registry.available("policies") if word not in POLICIES]
    return POLICIES.get(policy) or FURTHER[others.index(policy) % len(FURTHER)]


def text_colour(policy: str) -> tuple[float, float, float]:
    """The colour of a policy, darkened until small type in it can be read on white."""
    return tuple(0.7 * part for part in to_rgb(colour(policy)))
