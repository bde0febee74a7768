"""How Sphinx makes a site of these pages: ``make docs``. Nothing is fetched."""

project = "Spikeloom"
extensions = ["myst_nb", "sphinx_argparse_cli"]

html_theme = "furo"
html_title = project
html_show_copyright = False
html_show_sphinx = False

myst_heading_anchors = 3

# The tutorial runs while the site is built; that a cell fails is an error.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_merge_streams = True
