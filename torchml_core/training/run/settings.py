"""The settings of a training: their schema, defaults, and the file that they are read from."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic import PlainValidator as Checked

from torchml_core.checks import shown
from torchml_core.errors import FileFormatError
from torchml_core.training.run.yaml_text import read_yaml

if TYPE_CHECKING:
    from torchml_core.annotations import PathLike

UNITS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400}
TIME = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", re.ASCII)


def seconds(value: Any) -> float:
    """Return the seconds of a number, or of text such as "5 min"; ValueError for others."""
    if isinstance(value, str):
        match = TIME.fullmatch(value)
        unit = UNITS.get((match[2] or "s").removesuffix("s") or "s") if match else None
        value = float(match[1]) * unit if match and unit else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise ValueError("a time, such as 300 (seconds), 5 min or 1.5 h,")
    return float(value)


def _file_list(value):
    """Files, one or several."""
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or not paths or not all(isinstance(p, str) for p in paths):
        raise ValueError("a file, or a list of files,")
    return paths


def _part(value):
    """A fraction, or files."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1:
        return float(value)
    if isinstance(value, (int, float, bool)) or value is None:
        raise ValueError("a fraction of at least 0 and less than 1, a file, or a list of files,")
    return _file_list(value)


def _device(value):
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value, re.ASCII):
        raise ValueError("one of auto, cpu, cuda, or a numbered one such as cuda:1,")
    return value


def _descriptor(value):
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise ValueError("a .dat or .json file, or a kind (such as kind: SOAP) with its settings,")
    return value


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Files = Annotated[list[str], Checked(_file_list)]
Part = Annotated[Any, Checked(_part)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, validate_default=False)


class Data(_Strict):
    """Structures: paths are relative to the folder of the configuration."""

    train: Files
    validation: Part = 0.1
    test: Part = 0.0
    energy_key: str | None = None
    forces_key: str | None = None
    stress_key: str | None = None
    kind_key: str | None = None
    weights: dict[str, NotNegative] = {}
    isolated_atoms: dict[str, float] | None = None


class Linear(_Strict):
    """Least squares: the first model, and what networks are added to."""

    degree: Annotated[int, Field(ge=1, le=2)] | None = None
    components: Annotated[int, Field(ge=1)] | None = None


class Network(_Strict):
    """The network on top of the linear model."""

    use: bool = True
    hidden: list[Annotated[int, Field(ge=1, le=100_000)]] = [32, 32]
    activation: str = "tanh"
    optimizer: Literal["adam", "adamw", "muon", "levenberg-marquardt", "kalman"] = "muon"
    learning_rate: Positive = 0.003
    batch_size: Annotated[int, Field(ge=1)] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None
    max_gradient_norm: Positive | None = 10.0


class Weights(_Strict):
    """Of the squares of errors, relative to what is expected of each label."""

    energy: NotNegative = 1.0
    forces: NotNegative = 1.0
    stress: NotNegative = 1.0


class Settings(_Strict):
    """All settings of ``torchml-core train``.

    Attributes
    ----------
    folder : Path
        The folder that paths are relative to; not a setting.
    """

    data: Data
    output: str
    descriptor: Annotated[Any, Checked(_descriptor)] = None
    cutoff: Positive | None = None
    size: Literal["small", "medium", "large"] = "medium"
    linear: Linear = Linear()
    network: Network = Network()
    weights: Weights = Weights()
    members: Annotated[int, Field(ge=1, le=100)] = 1
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    time_limit: Annotated[float, BeforeValidator(seconds)] = 300.0
    threads: Annotated[int, Field(ge=1)] | None = None
    device: Annotated[str, Checked(_device)] = "cpu"
    _folder: Path = Path()

    def path(self, text: str) -> Path:
        """Return a path of the settings, which is relative to the folder of their file."""
        return self._folder / text

    def text(self) -> str:
        """Return all settings as YAML."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)


def read_settings(path: PathLike, **given: Any) -> Settings:
    """Read and check a configuration.

    Parameters
    ----------
    path : path-like
    **given
        Settings that replace those of the file, such as time_limit.

    Raises
    ------
    FileFormatError
        If the file is not YAML, a key is unknown, or a value cannot be used; with its line.
    """
    path = Path(path)
    content, lines = read_yaml(path)
    content |= {name: value for name, value in given.items() if value is not None}
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        message, place = _told(error.errors()[0])
        while place and place not in lines:
            place = place[:-1]
        raise FileFormatError(message, path, lines.get(place)) from None
    settings._folder = path.parent
    return settings


def _told(error):
    """The message for one of pydantic's errors, and the path of the key."""
    place, kind, value = tuple(error["loc"]), error["type"], error["input"]
    name = ".".join(map(str, place))
    if kind == "missing":
        return f"{name} is not given; it is needed", place[:-1]
    if kind == "extra_forbidden":
        return f"{name}: there is no such setting; {_nearest(place)} is needed", place
    return f"{name} = {shown(value)}: {_requirement(kind, error)} is needed", place


def _nearest(place):
    known = list(_section(place[:-1]).model_fields)
    near = difflib.get_close_matches(str(place[-1]), known, 1, 0.5)
    return f"{near[0]}, perhaps," if near else f"one of {', '.join(known)}"


def _section(place):
    """The class of a section."""
    section = Settings
    for name in place:
        section = section.model_fields[name].annotation
    return section


REQUIREMENTS = {
    "bool_type": "true or false",
    "dict_type": "a name with a value, or several,",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a section with keys",
    "model_attributes_type": "a section with keys",
    "string_type": "text",
}


def _requirement(kind, error):
    context = error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"one of {', '.join(context['expected'].replace(' or ', ', ').split(', '))}"
    limits = {"greater_than": "more than", "greater_than_equal": "at least"}
    limits |= {"less_than": "less than", "less_than_equal": "at most"}
    if kind in limits:
        return f"a number of {limits[kind]} {next(iter(context.values()))}"
    return REQUIREMENTS.get(kind, error["msg"][:1].lower() + error["msg"][1:])
