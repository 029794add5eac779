"""``torchml-core train``: from a file of structures to a portable model, in a given time."""

from torchml_core.training.run.pipeline import train as train
from torchml_core.training.run.settings import Settings as Settings
from torchml_core.training.run.settings import read_settings as read_settings

__all__ = ["Settings", "read_settings", "train"]
