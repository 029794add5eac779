"""A panel of predicted against reference values."""

AXIS_UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å³"}
SIZE = (4.6, 4.6)  # inches


def draw_parity(axes, name, sets, title):
    """Draw a panel.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    name : {"energy", "forces", "stress"}
    sets : list of (reference, predicted, dict)
        Arrays in the units of the axes, and matplotlib's settings of their points.
    title : str
    """
    lowest = min(min(reference.min(), predicted.min()) for reference, predicted, _ in sets)
    highest = max(max(reference.max(), predicted.max()) for reference, predicted, _ in sets)
    margin = 0.03 * (highest - lowest) or 1e-3
    limits = (lowest - margin, highest + margin)
    axes.plot(limits, limits, color="0.6", linewidth=1, zorder=1)
    for reference, predicted, settings in sets:
        # rasterized: a million force components would make a vector graphic unusable
        axes.plot(reference, predicted, ".", markersize=2.5, alpha=0.5, rasterized=True, **settings)
    axes.set(
        xlim=limits,
        ylim=limits,
        aspect="equal",
        title=title,
        xlabel=f"reference [{AXIS_UNITS[name]}]",
        ylabel=f"predicted [{AXIS_UNITS[name]}]",
    )
