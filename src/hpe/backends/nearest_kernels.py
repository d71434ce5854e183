"""The compiled loops of the nearest-neighbour search; see `hpe.backends.nearest` for what they find.

Sites (points, or border pixels of a mask) are sorted into nearly square cells, about four to a cell. A query looks
into its own row of cells, then into the rows around it, and in each row from its own column outwards, from
one occupied cell to the next, until no cell can hold a nearer site than the one it has. All arithmetic is in
float64: what is found is the nearest but for the rounding of squared distances in that precision.
"""

from __future__ import annotations

import math

import numpy as np

from hpe.backends.compilation import compiled

_SITES_PER_CELL = 4.0
_LEAST_CELL = 1e-6  # Pixels; sites closer than that are as good as in one spot.
# Half of what a k-d tree costs, in distances: when sites crowd in few cells, no more than that is wasted here.
_BUDGET_PER_SITE = 50
_BUDGET_PER_QUERY = 250
# How many image sizes around the image the cells cover at most, lest one stray point draws them all out.
_REACH = 8.0


@compiled
def search_image(points, mask, point_of_pixel, pixel_of_point):
    """Searches one image in both directions.

    Args:
        points: (V, 2) float pixel coordinates x, y.
        mask: (H, W) uint8, non-zero inside.
        point_of_pixel: (H * W,) int32, receives the nearest point of each mask pixel.
        pixel_of_point: (V,) int32, receives the nearest mask pixel of each finite point.

    Returns:
        left_pixels: mask pixels that remain to be searched, because the points crowd in few cells; mostly none.
        left_points: likewise points, because the mask's border crowds.
        border: flat pixels of the mask among which the nearest of each remaining point is.
    """
    height, width = mask.shape
    x, y, identity = _finite(points)
    pixels, border = _pixels(mask)
    if len(x) == 0 or len(pixels) == 0:
        return pixels[:0], identity[:0], border

    # A point beyond the reach is sorted as if it lay at its limit: a query inside is no farther from that
    # place than from the point, so that the bounds by cells hold.
    beyond_x, beyond_y = _REACH * width, _REACH * height
    cells = sort_into_cells(x, y, identity, -beyond_x, width + beyond_x, -beyond_y, height + beyond_y)
    pixel_x, pixel_y = _coordinates(pixels, width)
    done_pixels = _search(cells, pixel_x, pixel_y, pixels, point_of_pixel)

    rest = _round(x, y, identity, mask, pixel_of_point)
    border_x, border_y = _coordinates(border, width)
    cells = sort_into_cells(border_x, border_y, border, 0.0, float(width), 0.0, float(height))
    done_points = _search(cells, x[:rest], y[:rest], identity[:rest], pixel_of_point)
    return pixels[done_pixels:], identity[done_points:rest], border


@compiled
def _round(x, y, identity, mask, pixel_of_point):
    """Finds the pixel of the points that lie in one of the mask; moves the others to the front and counts them.

    The nearest of all pixel centres is the rounded point. Where that one is in the mask nothing is left to
    search. Elsewhere the nearest mask pixel has, in the direction of the point, a neighbour that is closer
    still and therefore outside the mask: it lies on the mask's border, and the border is all that need be sorted.
    """
    height, width = mask.shape
    rest = 0
    for i in range(len(x)):
        if -0.5 <= x[i] < width - 0.5 and -0.5 <= y[i] < height - 0.5:
            column, row = int(x[i] + 0.5), int(y[i] + 0.5)
            if mask[row, column]:
                pixel_of_point[identity[i]] = row * width + column
                continue
        x[rest], y[rest], identity[rest] = x[i], y[i], identity[i]
        rest += 1
    return rest


@compiled
def _coordinates(pixels, width):
    """Returns x and y of flat pixels."""
    x, y = np.empty(len(pixels)), np.empty(len(pixels))
    for i in range(len(pixels)):
        row = pixels[i] // width
        x[i], y[i] = pixels[i] - row * width, row
    return x, y


@compiled
def _finite(points):
    """Returns x, y and index of the finite points."""
    x, y, identity = np.empty(len(points)), np.empty(len(points)), np.empty(len(points), np.int32)
    number = 0
    for i in range(len(points)):
        if math.isfinite(points[i, 0]) and math.isfinite(points[i, 1]):
            x[number], y[number], identity[number] = points[i, 0], points[i, 1], i
            number += 1
    return x[:number], y[:number], identity[:number]


@compiled
def _pixels(mask):
    """Returns the flat indices of the mask's pixels, and of those with a side neighbour that is not inside."""
    height, width = mask.shape
    number = 0
    for row in range(height):
        for column in range(width):
            number += mask[row, column] != 0
    pixels, border = np.empty(number, np.int32), np.empty(number, np.int32)
    number, at_border = 0, 0
    for row in range(height):
        for column in range(width):
            if mask[row, column]:
                pixel = row * width + column
                pixels[number] = pixel
                number += 1
                if (
                    row == 0
                    or column == 0
                    or row == height - 1
                    or column == width - 1
                    or not mask[row - 1, column]
                    or not mask[row + 1, column]
                    or not mask[row, column - 1]
                    or not mask[row, column + 1]
                ):
                    border[at_border] = pixel
                    at_border += 1
    return pixels, border[:at_border].copy()


@compiled
def sort_into_cells(x, y, identity, x_low, x_high, y_low, y_high):
    """Sorts sites into cells; those beyond the limits go where they would if they lay at the limit.

    Returns:
        x, y, identity: the sites, cell by cell, row by row.
        first: (rows * columns + 1,) where the sites of each cell begin.
        left: (rows * (columns + 1),) the nearest column before this one with sites, or -1.
        right: (rows * (columns + 1),) the nearest column from this one on with sites, or `columns`.
        x_start, y_start, size_x, size_y, columns, rows: the cells' layout in pixels.
    """
    number = len(x)
    x_start, x_end, y_start, y_end = x_high, x_low, y_high, y_low
    for i in range(number):
        px, py = min(max(x[i], x_low), x_high), min(max(y[i], y_low), y_high)
        x_start, x_end = min(x_start, px), max(x_end, px)
        y_start, y_end = min(y_start, py), max(y_end, py)
    w, h = x_end - x_start, y_end - y_start
    cells = number / _SITES_PER_CELL
    # The second bound keeps the cells below 2 `cells` + 1 when the sites lie on a line.
    size = max(math.sqrt(w * h / cells), (w + h) / cells, _LEAST_CELL)
    columns, rows = int(w / size) + 1, int(h / size) + 1
    # The cells end where the sites end, so that bounds are tight for queries from outside.
    size_x, size_y = w / columns if w > 0 else 1.0, h / rows if h > 0 else 1.0

    cell = np.empty(number, np.int32)
    first = np.zeros(rows * columns + 1, np.int32)
    for i in range(number):
        column = min(int((min(max(x[i], x_low), x_high) - x_start) / size_x), columns - 1)
        row = min(int((min(max(y[i], y_low), y_high) - y_start) / size_y), rows - 1)
        cell[i] = row * columns + column
        first[cell[i] + 1] += 1
    for c in range(rows * columns):
        first[c + 1] += first[c]
    xs, ys, identities = np.empty(number), np.empty(number), np.empty(number, np.int32)
    following = first[:-1].copy()
    for i in range(number):
        place = following[cell[i]]
        following[cell[i]] += 1
        xs[place], ys[place], identities[place] = x[i], y[i], identity[i]

    left, right = np.empty(rows * (columns + 1), np.int32), np.empty(rows * (columns + 1), np.int32)
    for row in range(rows):
        start = row * (columns + 1)
        left[start] = -1
        for column in range(columns):
            c = row * columns + column
            left[start + column + 1] = column if first[c + 1] > first[c] else left[start + column]
        right[start + columns] = columns
        for column in range(columns - 1, -1, -1):
            c = row * columns + column
            right[start + column] = column if first[c + 1] > first[c] else right[start + column + 1]
    return xs, ys, identities, first, left, right, x_start, y_start, size_x, size_y, columns, rows


@compiled
def _search(cells, x, y, place, found):
    """Writes the identity of the site nearest to each query (x, y) to `found` at its `place`.

    Returns:
        How many queries were answered before the budget was spent.
    """
    xs, ys, identity, first, left, right, x_start, y_start, size_x, size_y, columns, rows = cells
    budget = _BUDGET_PER_SITE * len(xs) + _BUDGET_PER_QUERY * len(x)
    site = 0
    for query in range(len(x)):
        qx, qy = x[query], y[query]
        column = int(min(max((qx - x_start) / size_x, 0.0), columns - 1.0))
        own = int(min(max((qy - y_start) / size_y, 0.0), rows - 1.0))
        # Queries that follow each other lie near each other, and so do their sites: the last one is a good start.
        least = (xs[site] - qx) ** 2 + (ys[site] - qy) ** 2
        up, down = own - 1, own
        while up >= 0 or down < rows:
            # The row to look at is the next one downwards or upwards, by turns; -1 and `rows` end a direction.
            row = down if down < rows and (up < 0 or down - own <= own - up) else up
            top = y_start + row * size_y
            gap = max(top - qy, qy - top - size_y, 0.0)
            gap_of_row = gap * gap
            if row == down:
                down = down + 1 if gap_of_row < least else rows
            else:
                up = up - 1 if gap_of_row < least else -1
            if gap_of_row >= least:
                continue
            budget -= 2
            start, first_cell = row * (columns + 1), row * columns
            c = right[start + column]
            while c < columns:
                gap = max(x_start + c * size_x - qx, 0.0)
                if gap * gap + gap_of_row >= least:
                    break
                for i in range(first[first_cell + c], first[first_cell + c + 1]):
                    squared = (xs[i] - qx) ** 2 + (ys[i] - qy) ** 2
                    if squared < least:
                        site, least = i, squared
                budget -= first[first_cell + c + 1] - first[first_cell + c]
                c = right[start + c + 1]
            c = left[start + column]
            while c >= 0:
                gap = max(qx - x_start - (c + 1) * size_x, 0.0)
                if gap * gap + gap_of_row >= least:
                    break
                for i in range(first[first_cell + c], first[first_cell + c + 1]):
                    squared = (xs[i] - qx) ** 2 + (ys[i] - qy) ** 2
                    if squared < least:
                        site, least = i, squared
                budget -= first[first_cell + c + 1] - first[first_cell + c]
                c = left[start + c]
        found[place[query]] = identity[site]
        if budget < 0:
            return query + 1
    return len(x)
