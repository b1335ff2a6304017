"""Sphinx, with MyST for Markdown and the Read the Docs theme. `make docs` builds it."""

project = "Rondo"
author = "the Rondo authors"
copyright = author

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", ".venv"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "sphinx_rtd_theme"
html_title = "Rondo"
html_show_copyright = False
highlight_language = "go"
