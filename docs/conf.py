"""Sphinx configuration. Build without warnings: ``sphinx-build -W -b html docs docs/_build/html``."""

import os
import re
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
# The specifications of the processes need a loaded profile: one in memory, beside no profile of the user.
os.environ["AIIDA_PATH"] = tempfile.mkdtemp(prefix="iontherm-docs-")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # "Creating AiiDA configuration folder"
    from aiida import load_profile
    from aiida.storage.sqlite_temp import SqliteTempBackend

    load_profile(SqliteTempBackend.create_profile("docs"), allow_switch=True)

from aiida_iontherm import __version__

project = "aiida-iontherm"
author = "The aiida-iontherm developers"
copyright = "the aiida-iontherm developers, MIT licence"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "aiida.sphinxext",
    "iontherm_docs",
]
exclude_patterns = ["_build", "_ext"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]

autodoc_typehints = "none"  # the NumPy docstrings give shapes and units, which annotations cannot
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
default_role = "code"
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = f"aiida-iontherm {__version__}"
html_static_path = ["_static"]
html_css_files = ["wide-tables.css"]
html_show_sphinx = False


def plain_text_as_rst(app, what, name, obj, options, lines):
    """Keep docstrings that were written for ``help()`` literal where reStructuredText would see markup."""
    text = "\n".join(lines)
    # |v| is a modulus, not a substitution.
    text = re.sub(r"(?<!`)\|", r"\\|", text)
    if what == "module":
        # An indented block after a sentence is an equation.
        text = re.sub(r"(?m)^(\S.*)\n\n(?=    \S)", r"\1\n\n.. code-block:: none\n\n", text)
    lines[:] = text.split("\n")


def setup(app):
    app.connect("autodoc-process-docstring", plain_text_as_rst, priority=100)
