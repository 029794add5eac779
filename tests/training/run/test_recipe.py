"""How a run uses its time."""

import pytest

import torchml_core as tm
from torchml_core.training.run import recipe, speed
from torchml_core.training.run.settings import Settings

SETTINGS = {"data": {"train": "x"}, "output": "out"}


@pytest.fixture
def data(silicon):
    return tm.dataset.Dataset.from_atoms(silicon)


@pytest.fixture
def costs(monkeypatch):
    """Rows take a second for 10 coefficients, their solution a second for 100."""

    measured = []

    def cost(descriptor, data, degree, components, n_threads, flops, sample_seconds):
        n = components or 0
        measured.append(n)
        size = 1 + descriptor.width + n * (n + 1) // 2
        return speed.Cost(size / 10, size / 100)

    monkeypatch.setattr(recipe, "fit_cost", cost)
    monkeypatch.setattr(recipe, "flops", lambda: 1e9)
    monkeypatch.setattr(recipe, "solution_seconds", lambda n, flops: n / 100)
    monkeypatch.setattr(recipe, "ROWS_PER_COEFFICIENT", 1)
    return measured


@pytest.mark.parametrize(
    ("seconds", "fraction", "components"),
    [(60, 1.0, 16), (16, 1.0, 8), (4.82, 0.677, None), (0.7, 0.5, None), (-5, 0.5, None)],
)
def test_what_there_is_time_for(data, costs, seconds, fraction, components):
    settings = Settings.model_validate(SETTINGS)
    d = tm.SOAP(["Si"], 4.0, 4, 2)
    first, second, network = recipe.stages(settings, d)
    assert (d.width, first.degree, second.degree, network.degree) == (30, 1, 2, 0)
    found = recipe.plan(first, settings, d, data, seconds, 1)
    assert found == (pytest.approx(fraction, abs=1e-3), None, False)
    costs.clear()
    found = recipe.plan(second, settings, d, data, seconds, 1)
    assert (found.components, found.skipped) == (components, components is None)
    assert len(costs) <= 3  # of five numbers of components; each one takes a while
    assert bool(costs) == (seconds > 2)  # nothing is measured where time is over
    assert recipe.least_seconds(first, d, data, seconds, 1) == pytest.approx(0.31 + 3.1 / 2)
    assert recipe.is_too_wide(d, data, seconds, 1) == (seconds < 3.72)


def test_the_time_of_a_fit_grows_with_data_and_coefficients(data):
    d = tm.SOAP(["Si"], 4.0, 4, 2)
    assert speed.n_rows(data) == len(data) * (1 + 24 + 6)
    few = data.select(range(4))
    costs = [speed.fit_cost(d, part, 2, n, 1, 1e9) for part, n in ((few, 4), (data, 20))]
    assert 0 < costs[0].rows < costs[1].rows
    assert costs[1].solution == pytest.approx(speed.SOLUTIONS * 241**3 / 1e9)
    assert speed.flops() > 1e8
