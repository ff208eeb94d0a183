"""The parts of a decode step, as words of the measurements and as figures and tables name them.

A launch that does the work of several parts, or that might belong to any of several, counts for all of them
together: their words joined by "+", such as "mlp+projections".
"""

MLP = "mlp"
ATTENTION = "attention"  # rotation, cache, scores and weighted values
PROJECTIONS = "projections"  # to query, key and value, and from the heads' outputs
NORMS = "norms"
HEAD = "head"
OTHER = "other"
ATTENTION_IDLE = "attention_idle"  # waiting that goes when attention is stubbed
IDLE = "idle"
LABELS = {
    MLP: "MLP",
    ATTENTION: "Attention",
    PROJECTIONS: "Projections",
    NORMS: "Norms, residual, elementwise",
    HEAD: "LM head",
    OTHER: "Embedding, positions, unmatched",
    ATTENTION_IDLE: "Idle for attention",
    IDLE: "Idle (framework overhead)",
}
HYPOTHESIS_PARTS = (MLP, NORMS, IDLE)  # the bottleneck of a step, by the hypothesis under test


def members(part: str) -> list[str]:
    """The single parts that a word stands for, in the order of LABELS.

    Raises:
        ValueError: one of them does not exist.
    """
    words = part.split("+")
    if unknown := set(words) - set(LABELS):
        raise ValueError(f"{part}: {', '.join(sorted(unknown))} is not one of {', '.join(LABELS)}")
    return [word for word in LABELS if word in words]


def is_joint(part: str, word: str) -> bool:
    """Whether launches of this part do the work of `word` beside that of others."""
    return part != word and word in members(part)


def label(part: str) -> str:
    """How figures and tables name a part."""
    names = [LABELS[word] for word in members(part)]
    return " + ".join(names) + (", together" if len(names) > 1 else "")


def ordered(found) -> list[str]:
    """Parts without repetition, in the order of LABELS; joined ones after their first member."""
    rank = list(LABELS).index
    return sorted(set(found), key=lambda part: [rank(word) for word in members(part)])
