"""The documentation site is built without a warning, and its links lead somewhere."""

import subprocess
import sys
from html.parser import HTMLParser

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(project, tmp_path_factory):
    """The folder of the built site."""
    pytest.importorskip("furo", reason="Sphinx and furo are not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run([*command, project / "docs", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


def test_links_within_the_site_lead_somewhere(site):
    pages = {path.resolve(): Page(path.read_text()) for path in site.rglob("*.html")}
    assert len(pages) > 20
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if "://" in link or link.startswith("mailto:"):
                continue
            target, _, anchor = link.partition("#")
            file = (path.parent / target).resolve() if target else path
            if not file.exists() or (
                anchor and file in pages and anchor not in pages[file].anchors
            ):
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_every_page_is_in_the_navigation(site, project):
    navigation = set(Page((site / "index.html").read_text()).links)
    for page in (project / "docs").glob("*.md"):
        if page.stem != "index":
            assert f"{page.stem}.html" in navigation, page.name


def test_every_public_name_is_in_the_reference(site):
    import torchml_core as tm

    anchors = set()
    for path in (site / "api").glob("*.html"):
        anchors |= {anchor.rpartition(".")[2] for anchor in Page(path.read_text()).anchors}
    modules = set(tm._MODULES)
    assert [name for name in tm.__all__ if name not in anchors | modules] == []


def test_benchmarks_of_releases_are_drawn(project, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(project / "docs"))
    import sphinx_benchmarks

    from torchml_core.bench.result import Result
    from torchml_core.bench.table import Table

    for version, speed in (("0.9.0", 100.0), ("0.10.0", 150.0)):
        result = Result({"finished": True})
        result.tables["speeds"] = table = Table("speeds", "atoms/s", higher_is_better=True)
        table.add("a", {"ours": speed})
        result.write(tmp_path / f"{version}.json")
    tmp_path.joinpath("scale.json").write_text("of a script, not of a release")
    releases = sphinx_benchmarks.read_releases(tmp_path)
    assert list(releases) == ["0.9.0", "0.10.0"]
    (axes,) = sphinx_benchmarks.draw_releases(releases).axes
    assert axes.lines[0].get_ydata().tolist() == [1.0, 1.5]
    sphinx_benchmarks.generate(tmp_path, tmp_path / "site")
    text = (tmp_path / "site" / "benchmarks.md").read_text()
    assert "## Figures of 0.10.0" in text
    assert "| 150 |" in text
    assert {"releases.png", "speeds.png"} < {path.name for path in tmp_path.glob("site/*")}
