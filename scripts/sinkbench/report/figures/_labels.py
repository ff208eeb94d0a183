"""Text beside points and lines that does not overlap: placed greedily, the same way every time."""

from itertools import product

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

SIZE = 8  # points
LINE_SPACING = 1.25
DISTANCES = (7, 15, 24, 34)  # points, from the marker to the text
DIRECTIONS = ((1, 0), (1, 1), (1, -1), (0, 1), (0, -1), (-1, 0), (-1, 1), (-1, -1))
ALIGNMENT = {-1: "right", 0: "center", 1: "left"}
VERTICAL = {-1: "top", 0: "center", 1: "bottom"}
EDGE = 0.9  # share of the width from which on a line counts as reaching the right edge
MARKER = 9  # points: the space that a marker takes
LEADER = {"arrowstyle": "-", "linewidth": 0.6, "linestyle": (0, (1, 2))}  # dotted, or it would look like data


def label_points(axes: Axes, points: list[tuple[float, float, str, str]], bars: list[tuple]) -> None:
    """Write a text beside each point (x, y, text, colour) where it covers least of what is there already.

    Args:
        bars: lines along an axis that should not be covered either, (x, y) of both ends.
    """
    axes.figure.draw_without_rendering()
    size = MARKER * axes.figure.dpi / 72
    taken = [_around(axes.transData.transform([(x, y)] * 2), size / 2) for x, y, _, _ in points]
    taken += [_around(axes.transData.transform(ends), 1) for ends in bars]
    for x, y, text, colour in points:
        taken.append(_label_point(axes, (x, y), text, colour, taken))


def _label_point(axes: Axes, point: tuple, text: str, colour: str, taken: list[Bbox]) -> Bbox:
    """Try every place, keep the best, and return the space that it takes."""
    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    tried = [_place(axes, point, text, colour, *where) for where in product(DISTANCES, DIRECTIONS)]
    for item in tried:
        item.update_positions(renderer)
    boxes = [Text.get_window_extent(item, renderer).padded(1) for item in tried]
    best = min(range(len(tried)), key=lambda index: _cost(axes, boxes[index], taken))
    for item in tried[:best] + tried[best + 1 :]:
        item.remove()
    return boxes[best]


def label_ends(axes: Axes, ends: list[tuple[float, float, str, str]], edge_from: float = EDGE) -> None:
    """Name lines where they end (x, y, text, colour): at the right edge, spread so that no two texts overlap.

    A line that ends before `edge_from`, a share of the width, is named right there. The axes' limits are to
    be final: leaders point at their ends whatever comes after, but texts stay where they are.
    """
    axes.figure.draw_without_rendering()
    to_axes = axes.transData + axes.transAxes.inverted()
    placed = [(*to_axes.transform(end[:2]), *end) for end in ends]
    step = SIZE * LINE_SPACING * axes.figure.dpi / 72 / axes.get_window_extent().height
    edge = sorted((end for end in placed if end[0] >= edge_from), key=lambda end: end[1])
    for end, height in zip(edge, _spread([end[1] for end in edge], step), strict=True):
        _label_end(axes, end, (1.06, height))
    for end in placed:
        if end[0] < edge_from:
            _label_end(axes, end, (end[0] + 0.01, end[1]))


def _label_end(axes: Axes, end: tuple, where: tuple[float, float]) -> None:
    *_, x, y, text, colour = end
    arrow = {**LEADER, "color": colour, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0}
    axes.annotate(
        text,
        (x, y),
        where,
        "data",
        "axes fraction",
        color=colour,
        size=SIZE,
        parse_math=False,  # the name of a document may hold any sign
        va="center",
        annotation_clip=False,
        arrowprops=arrow,
    )


def _spread(heights: list[float], step: float) -> list[float]:
    """Heights from 0 to 1, at least `step` apart and as near as can be to the given ones (sorted).

    Least squares with a smallest gap is an isotonic regression of the heights less their slots: neighbours
    that are too close are pooled.
    """
    pools: list[tuple[float, int]] = []
    for index, height in enumerate(heights):
        mean, count = height - index * step, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    highest = max(0, 1 - (len(heights) - 1) * step)
    levels = [min(max(mean, 0), highest) for mean, count in pools for _ in range(count)]
    return [level + index * step for index, level in enumerate(levels)]


def _place(axes: Axes, point: tuple, text: str, colour: str, distance: float, direction: tuple):
    across, up = direction
    far = distance > DISTANCES[0]
    return axes.annotate(
        text,
        point,
        (across * distance, up * distance),
        textcoords="offset points",
        color=colour,
        size=SIZE,
        parse_math=False,
        ha=ALIGNMENT[across],
        va=VERTICAL[up],
        arrowprops={**LEADER, "color": colour, "shrinkB": 3} if far else None,
    )


def _cost(axes: Axes, box: Bbox, others: list[Bbox]) -> float:
    """Area that would be covered, in square pixels, or that would fall outside the axes."""
    covered = (Bbox.intersection(box, other) for other in others)
    area = sum(common.width * common.height + 1 for common in covered if common is not None)
    inside = Bbox.intersection(box, axes.get_window_extent())
    return area + (box.width * box.height - (inside.width * inside.height if inside else 0))


def _around(ends, margin: float) -> Bbox:
    """The space between two corners, in pixels, and a margin."""
    (x0, y0), (x1, y1) = ends
    return Bbox.from_extents(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)).padded(margin)
