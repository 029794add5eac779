"""Draw soap_at_the_cutoff.svg: a value of SOAP and its slope while a neighbor leaves.

python docs/soap_at_the_cutoff.py        (needs matplotlib)
"""

from pathlib import Path

import numpy as np

import torchml_core as tm

CUTOFF, WIDTH = 4.0, 0.5
LEAVES = np.array([0.6, 0.0, 0.8])  # the direction in which one neighbor moves
STAYS = np.array([0.3, 1.9, 0.2])


def values_and_slopes(descriptor, distance):
    """Values of the atom at the origin, and their slopes with respect to the distance."""
    c = tm.Configuration(
        [[0, 0, 0], distance * LEAVES, STAYS],
        [0, 0, 0],
        [True, False, False],
        [0],
        [0, 2],
        [1, 2],
        species_names=["Si"],
    )
    return descriptor.compute(c)[0], LEAVES @ descriptor.jacobian(c).values[0]


def curves(smoothing):
    """Return distances, value and slope, of the value that is largest without the neighbor.

    NaN at the cutoff makes a gap in the curve, where it jumps.
    """
    descriptor = tm.SOAP(["Si"], CUTOFF, 4, 3, smoothing=smoothing, smoothing_width=WIDTH)
    inside = np.append(np.linspace(3.2, CUTOFF, 61)[:-1], CUTOFF - 1e-9)
    distances = np.concatenate([inside, [np.nan], np.linspace(CUTOFF + 1e-9, 4.3, 2)])
    largest = np.argmax(values_and_slopes(descriptor, CUTOFF + 1)[0])
    found = [
        [x[largest] for x in values_and_slopes(descriptor, R)] if R == R else [np.nan, np.nan]
        for R in distances
    ]
    return distances, *np.transpose(found), descriptor.labels[largest]


def main():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # the file is the same each time, and small
    matplotlib.rcParams |= {"svg.hashsalt": "soap", "svg.fonttype": "none"}
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    styles = {None: ("no smoothing", "tab:red", "--"), "cosine": ("cosine", "tab:blue", "-")}
    for smoothing, (name, color, line) in styles.items():
        distances, value, slope, label = curves(smoothing)
        for ax, y in zip(axes, (value, slope), strict=True):
            ax.plot(distances, y, line, color=color, label=name)
    axes[0].set_ylabel(label)
    axes[1].set_ylabel("its slope (1/Å)")
    for ax in axes:
        ax.axvline(CUTOFF, color="0.6", linewidth=0.8)
        ax.axvline(CUTOFF - WIDTH, color="0.8", linewidth=0.8, linestyle=":")
        ax.set_xlabel("distance of the neighbor that leaves (Å)")
    axes[0].legend(frameon=False)
    target = Path(__file__).with_suffix(".svg")
    figure.savefig(target, metadata={"Date": None})
    print(target)


if __name__ == "__main__":
    main()
