"""A Sphinx extension for links to files of the project that are not pages of the site.

The pages are also read on GitHub, where such links work. README, CONTRIBUTING and CHANGELOG are
pages of the site under other names. Other files are linked to at ``SOURCE_URL``, from the
environment (``https://github.com/OWNER/torchml_core/blob/main``); without it, only their names are
shown.
"""

import os
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

PROJECT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}


def setup(app):
    app.connect("doctree-read", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def resolve(app, doctree):
    """Replace the links of a page that lead out of the folder of pages."""
    for node in list(doctree.findall(addnodes.download_reference)):
        replace(app, node, node["reftarget"])
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node.get("reftype") == "myst":
            replace(app, node, node["reftarget"])


def replace(app, node, target):
    path, _, anchor = target.partition("#")
    file = in_project(app, path)
    if file is None:
        return  # a page of the site, or a mistake that Sphinx reports
    if file in PAGES:
        url = PAGES[file] + ".html" + (f"#{anchor}" if anchor else "")
    elif "SOURCE_URL" in os.environ:
        url = f"{os.environ['SOURCE_URL']}/{file}"
    else:
        node.replace_self(nodes.inline("", "", *node.children))
        return
    node.replace_self(nodes.reference("", "", *node.children, refuri=url, internal=file in PAGES))


def in_project(app, path):
    """Return the path within the project if the link leads to a file outside of the pages."""
    for start in (
        Path(app.srcdir),
        PROJECT,
    ):  # README is a page too, with links from its own folder
        for name in (path, f"{path}.md"):  # myst drops the ending of .md files
            found = (start / name).resolve()
            if path and found.exists() and found.is_relative_to(PROJECT):
                file = found.relative_to(PROJECT)
                return None if file.parts[0] == "docs" else file.as_posix()
    return None
