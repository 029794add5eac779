"""PortableModel: the files of a folder, combined into a model that can be evaluated."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from torchml_core import checks, files
from torchml_core.errors import InputError
from torchml_core.pair_terms import make_pair_terms
from torchml_core.portable import conventions
from torchml_core.portable.added_terms import AddedTerms
from torchml_core.portable.executors import compiled, forward_of, load_executor
from torchml_core.portable.extrapolation import TrainingLimits, outside_of
from torchml_core.portable.folder import PARAMETERS_FILE, write_new
from torchml_core.portable.forward import (
    check_forward,
    check_own_species,
    warn_of_equal_centers,
)
from torchml_core.portable.parameters import ModelParameters, check_dtype, disagreements
from torchml_core.portable.precision import Precision
from torchml_core.portable.prediction import Prediction
from torchml_core.portable.running import (
    _ModelRunner,
    configuration_for,
    evaluate_each,
    no_values,
)
from torchml_core.portable.species_input import decide, species_argument
from torchml_core.portable.stored_model import make_stored, read_stored, with_settings
from torchml_core.torch_device import execution_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from torchml_core.annotations import Evaluated, PathLike
    from torchml_core.descriptors.base import Descriptor
    from torchml_core.portable.model_json import ModelCard


class PortableModel(_ModelRunner):
    """A portable model: a TorchScript or exported network, and a description of its inputs.

    Made by :meth:`load` from a folder, or by :meth:`create` from your own network. All files are
    read when the model is loaded; the folder may be deleted afterwards. A copied or pickled model
    contains its files, so it also works where the folder does not exist; its device must be
    available there.

    Attributes
    ----------
    parameters : ModelParameters
        What the ``.param`` file says; its parts are attributes of the model too:
    species : tuple of str
        Element symbols, in the order of the species codes.
    cutoff : float
        Å; the distance to which lists must reach: the cutoff in the ``.param`` file (for a graph
        model that of one convolution), or that of a pair term if it is larger.
    influence_distance : float
        Å; the largest distance at which other atoms can affect an atom's energy.
    n_layers : int
        Convolutions of a graph model; 1 for others.
    convention : {"raw", "descriptor", "graph"}
    descriptor : Descriptor or None
    pair_terms : tuple of Descriptor
        Analytic energies that are added to those of the network, in eV: see
        :mod:`torchml_core.pair_terms`.
    card : ModelCard or None
        What the ``model.json`` file says: training range, license, who made it, ...
    folder : pathlib.Path
        Where it was loaded from.
    files : tuple of str
        The names of its files in that folder.
    device : torch.device
        Where it runs.
    dtype : torch.dtype
        The floating type of its inputs: float64, unless the model refuses that. The first
        evaluation decides, and all later ones use the same type.
    """

    def __init__(
        self,
        folder: PathLike,
        contents: Any,
        parameters: Any,
        executor: Any,
        descriptor: Descriptor | None = None,
        told: Mapping[str, Any] | None = None,
        card: ModelCard | None = None,
    ) -> None:
        self.folder, self._contents = folder, contents  # of each file by name
        self.files = tuple(contents)
        self.parameters, self.descriptor, self.card = parameters, descriptor, card
        self.species = parameters.species
        terms = getattr(card, "pair_terms", ())
        self.pair_terms = make_pair_terms(terms, parameters.species)
        reach = max((term.cutoff for term in self.pair_terms), default=0.0)
        self.cutoff = max(parameters.cutoff, reach)
        self.influence_distance = max(parameters.influence_distance, reach)
        self._limits = None
        if descriptor is not None and card is not None and card.training_range:
            self._limits = TrainingLimits(descriptor, card.training_range, parameters.species)
        self.n_layers = parameters.n_layers
        self.convention = parameters.convention
        self.device = executor.device
        self._executor = executor
        told = told or {}  # settings that come before those of the .param file
        place, argument = species_argument(executor.arguments, self.convention)
        self._species_input = partial(
            decide,
            argument,
            next(iter(self.files), ""),
            asked=told.get("species_input"),
            stored=parameters.species_input,
            place=place,
        )
        dtype = told.get("dtype") or parameters.dtype or getattr(card, "dtype", None)
        self._is_plain = self._find_plain(dtype)
        if self._is_plain:  # its type is known
            dtype = str(executor.plain.dtype).removeprefix("torch.")
        self._precision = Precision(executor.weights_dtype, dtype)
        self._other_executor = None  # for another default type, if the model needs it
        self._calling = conventions.BY_NAME[parameters.convention](
            parameters, descriptor, self._species_input
        )
        self._linear = self._find_linear(dtype)

    @property
    def dtype(self) -> torch.dtype:
        return self._precision.choice.dtype

    @property
    def species_input(self) -> Any:
        """SpeciesInput or None: what the model is given for species, and why.

        Its ``kind`` is "codes", "sorted_codes" or "atomic_numbers"; ``why`` is a text. None for a
        descriptor model of one input, ``forward(descriptor)``.
        """
        return self._species_input() if self.parameters.takes_species else None

    @classmethod
    def load(
        cls,
        folder: PathLike,
        *,
        device: str | torch.device | None = None,
        trust: bool = False,
        species_input: str | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> PortableModel:
        """Load a portable model from its folder.

        Parameters
        ----------
        folder : path-like
            Its files are recognized by their suffixes: ``.param`` (one), ``.pt`` or ``.pt2`` (the
            one that the ``.param`` file names), ``.dat`` (one, for descriptor models). Other files
            are ignored.
        device : str or torch.device, optional
            None: the value of KIM_MODEL_EXECUTION_DEVICE, or the CPU if it is not set.
        trust : bool
            Whether the model's file may do everything that a program may: run any Python code
            through pickles in a ``.pt2`` file, call operators that access files. Set this to True
            only for models from a source whose programs you would run. False: such files are
            refused; docs/portable_models.md, "Security", says what a model may still do.
        species_input : {"codes", "sorted_codes", "atomic_numbers"}, optional
            What the model is given for species: codes in the order of the ``.param`` file, or of
            atomic numbers, or atomic numbers themselves; None for a descriptor model of one input,
            which is given no species. None: what the ``.param`` file says, else
            KIM_MODEL_ELEMENTS_MAP, else the name of ``forward``'s argument for species (``z``,
            ``atomic_numbers``, ...), else codes; see
            :mod:`torchml_core.portable.species_input`.
        dtype : {"float64", "float32"} or torch.dtype, optional
            The floating type of positions or descriptors that the model is given. None: what the
            ``.param`` or ``model.json`` file says, else float64, or float32 if the model refuses
            float64; the first evaluation decides (:mod:`torchml_core.portable.precision`).

        Returns
        -------
        PortableModel

        Raises
        ------
        MissingFileError
            If the folder or one of the files is not there.
        FileAccessError
            If one of them cannot be read.
        InputError
            If there are several files where one is needed, the device cannot be used, or a setting
            is wrong.
        FileFormatError
            If the ``.param`` or ``.dat`` file is wrong, or they contradict each other, or the
            ``.param`` file says 1 input for a model that takes 2, or 2 for one that takes 1.
        ModelError
            If torch cannot load the model, its file is damaged, it would have to be trusted, or its
            ``forward`` does not take the inputs of the convention.
        UnsupportedError
            For a graph model while KIM_MODEL_DISABLE_GRAPH is set.
        """
        path, trust = files.as_path("folder", folder), checks.flag("trust", trust)
        told = {"species_input": species_input, "dtype": check_dtype(dtype)}
        told = {name: value for name, value in told.items() if value is not None}
        stored = read_stored(path)
        told_too = with_settings(stored, told)  # for save
        parameters = stored.parameters
        if parameters.convention == "graph":
            conventions.refuse_disabled_graphs()
        executor = load_executor(
            path / parameters.model_file,
            execution_device(device),
            trust=trust,
            content=stored.model_content,
        )
        contents, card = told_too.contents, told_too.card
        check_forward(executor.forward, parameters, path, next(iter(contents)))
        return cls(path, contents, parameters, executor, stored.descriptor, told, card)

    @classmethod
    def create(
        cls,
        folder: PathLike,
        *,
        model: torch.nn.Module | torch.export.ExportedProgram,
        species: Sequence[str],
        cutoff: float | None = None,
        descriptor: Descriptor | None = None,
        convention: str | None = None,
        n_layers: int = 1,
        returns_forces: bool = False,
        species_input: str | None = None,
        dtype: str | torch.dtype | None = None,
        training_range: Mapping[str, Any] | None = None,
        reference_energies: Mapping[str, float] | None = None,
        pair_terms: Sequence[Mapping[str, Any]] | None = None,
        license: str | None = None,
        citation: str | None = None,
    ) -> PortableModel:
        """Write a portable model's files into a folder, and load it.

        Parameters
        ----------
        folder : path-like
            Created if it does not exist; must not contain files of a model yet. If anything fails,
            it is left as it was.
        model : torch.jit.ScriptModule, torch.export.ExportedProgram or torch.nn.Module
            Its ``forward`` takes what the convention says, see
            :mod:`torchml_core.portable.conventions`. A plain module is scripted. In a descriptor
            model it takes ``(descriptor)`` or ``(descriptor, species)``: the number of arguments
            without a default value says which.
        species : sequence of str
            Element symbols, in the order of the species codes. If the module has an attribute
            ``species``, a sequence of symbols, it must be the same.
        cutoff : float, optional
            Å. Required unless a descriptor is given, whose cutoff is then the default.
        descriptor : Descriptor, optional
            If given, the convention is "descriptor".
        convention : {"raw", "descriptor", "graph"}, optional
            Required if there is no descriptor.
        n_layers : int
            Convolutions of a graph model.
        returns_forces : bool
            Whether ``forward`` returns ``(energy, forces)``; for a descriptor model
            ``(energy, -dE/ddescriptor)``.
        species_input, dtype : optional
            As for :meth:`load`; stored in the ``.param`` file as comments, which other programs
            skip.
        training_range : dict, optional
            For a descriptor model: of each element ``(min, max)``, the smallest and largest value
            of each component in the training data; :func:`~torchml_core.training_range` computes
            it.
        reference_energies : dict of str to float, optional
            The energy of a free atom of each element, in eV, for information: the energies of the
            model already contain them.
        pair_terms : sequence of dict, optional
            Analytic terms that are added to the model's energy, e.g.
            ``{"kind": "zbl", "inner": 4.0, "outer": 4.8}``.
        license, citation : str, optional
            These five are stored in ``model.json``, see :class:`~torchml_core.ModelCard`.

        Returns
        -------
        PortableModel

        Raises
        ------
        InputError
            If arguments are wrong or contradict each other, or the folder is in use.
        ModelError
            If the module cannot be scripted, or ``forward`` does not take the inputs of the
            convention.

        Warns
        -----
        ModelWarning
            If a model of several species is given the descriptor alone, and the descriptor does
            not tell centers of different species apart
            (:attr:`torchml_core.descriptors.base.Descriptor.tells_centers_apart`).
        """
        convention = _choose_convention(convention, descriptor)
        if cutoff is None and descriptor is not None:
            cutoff = descriptor.cutoff
        settings: dict[str, Any] = {  # checked there
            "species": species,
            "convention": convention,
            "cutoff": cutoff,
            "model_file": "model.pt",
            "n_layers": n_layers,
            "returns_forces": returns_forces,
            "descriptor": None if descriptor is None else type(descriptor).__name__,
            "species_input": species_input,
            "dtype": dtype,
        }
        if descriptor is not None:
            descriptor.stored_form()  # before anything that takes long
        own_species = getattr(model, "species", None)
        model = compiled(model)
        forward = forward_of(model)
        if descriptor is not None and forward.n_required == 2:
            settings["n_inputs"] = 2
        parameters = ModelParameters(**settings)
        path = files.as_path("folder", folder)
        check_forward(forward, parameters, path, PARAMETERS_FILE)
        check_own_species(own_species, parameters)
        if descriptor is not None:
            wrong = disagreements(parameters, descriptor)
            if wrong:
                raise InputError(f"descriptor: {'; '.join(wrong)}")
            warn_of_equal_centers(forward, parameters, descriptor)
        card_settings = {
            "training_range": training_range,
            "reference_energies": reference_energies,
            "pair_terms": () if pair_terms is None else pair_terms,
            "license": license,
            "citation": citation,
        }
        contents, parameters, _, card = make_stored(model, parameters, descriptor, card_settings)
        executor = load_executor(
            path / parameters.model_file,
            execution_device(None),
            content=contents[parameters.model_file],
        )
        write_new(path, contents)
        return cls(path, contents, parameters, executor, descriptor, card=card)

    def save(self, folder: PathLike) -> None:
        """Write the model's files, as they were when it was loaded, into another folder.

        The ``species_input`` and ``dtype`` that were given to :meth:`load` are written into the
        ``.param`` file there.

        Parameters
        ----------
        folder : path-like
            Made if it is not there; must hold no model's files yet.

        Raises
        ------
        InputError
            If the folder is in use.
        FileAccessError
            If it cannot be written to.
        """
        write_new(folder, self._contents)

    def write_files(self, folder: PathLike) -> list[str]:
        """Write the files over those of the same names, if any, in a folder; return their names.

        Parameters
        ----------
        folder : path-like
        """
        folder = files.as_path("folder", folder)
        for name, content in self._contents.items():
            files.write_bytes("folder", folder / name, content)
        return list(self._contents)

    def evaluate(
        self,
        structure: Evaluated,
        *,
        forces: bool = True,
        virial: bool = True,
        n_threads: int | None = None,
    ) -> Prediction:
        """Evaluate a structure or a configuration.

        Parameters
        ----------
        structure : ase.Atoms or Configuration
            A configuration must have lists that reach to ``cutoff``, and for a graph model ghosts
            that reach to ``influence_distance``. Species are matched by name.
        forces, virial : bool
            What to compute in addition to the energy. With neither, nothing is differentiated.
        n_threads : int, optional
            Threads of neighbor lists and descriptors; torch has its own setting
            (``torch.set_num_threads``).

        Returns
        -------
        Prediction
            Over particles; ``.fold()`` gives it over atoms.

        Raises
        ------
        InputError
            If the structure cannot be used: no atoms, a species that the model does not know, ...
        ModelError
            If the model fails, or returns something of wrong shape, NaN or infinite.
        UnsupportedError
            For a graph model while KIM_MODEL_DISABLE_GRAPH is set; inside of a function that
            torch.func transforms.

        Notes
        -----
        The result neither depends on nor changes torch's global state: gradient mode, inference
        mode, autocast, default type. torch.compile does not compile this call. Torch uses one
        thread for small work, and its own number of threads for more. In a forked process, such as
        a worker of multiprocessing, torch is set to one thread permanently, since it may hang with
        more. A configuration without contributing particles, as a rank of a parallel run may have,
        gives zeros without a call of the model.
        """
        if torch.compiler.is_compiling():  # the caller is being compiled; this is not tensor code
            evaluate = torch.compiler.disable(PortableModel.evaluate)
            return evaluate(self, structure, forces=forces, virial=virial, n_threads=n_threads)
        forces, virial = checks.flag("forces", forces), checks.flag("virial", virial)
        c = configuration_for(self, structure, n_threads)
        if c.n_centers == 0:
            return Prediction(c, no_values(c, forces, virial), outside_of([self._limits]))
        values, outside = self._values(c, forces=forces, virial=virial, n_threads=n_threads)
        if self.pair_terms:
            terms = AddedTerms(self.pair_terms, c, n_threads, derivatives=forces or virial)
            values = terms.add_to(values)
        return Prediction(c, values, outside)

    def evaluate_many(
        self,
        structures: Iterable[Evaluated],
        *,
        forces: bool = True,
        virial: bool = True,
        n_threads: int | None = None,
    ) -> Iterator[Prediction]:
        """Yield the Prediction of each structure or configuration, one at a time.

        Parameters
        ----------
        structures : iterable of ase.Atoms or Configuration
            Read one at a time as predictions are requested, so they need not fit into memory.
        forces, virial, n_threads
            As for :meth:`evaluate`.
        """
        return evaluate_each(self, structures, forces=forces, virial=virial, n_threads=n_threads)

    def __repr__(self):
        p = self.parameters
        layers = f", {p.n_layers} layers" if p.convention == "graph" else ""
        descriptor = "" if p.descriptor is None else f" of {p.descriptor}"
        return (
            f"<PortableModel {self.folder.name}: {p.convention}{descriptor}, {' '.join(p.species)},"
            f" cutoff {p.cutoff:g}{layers}, {p.model_file} on {self.device}>"
        )


def _choose_convention(convention, descriptor):
    if descriptor is None:
        return checks.one_of("convention", convention, ("raw", "graph"), "without a descriptor")
    checks.one_of("convention", convention, (None, "descriptor"), "with a descriptor")
    return "descriptor"
