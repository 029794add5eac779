"""``python -m torchml_core.cli``: the command, of the Python that is named."""

from torchml_core.cli import main

main(prog_name="torchml-core")
