"""Descriptors as differentiable torch functions, made of the descriptors' four verbs.

NOTATION
    x     positions (n_particles, 3)            D(x)  descriptor (n_centers, width)
    J(x)  its Jacobian dD/dx, never formed      g, h  of D's shape        u  of x's shape

    compute   x -> D          its backward   g -> J^T g   is the descriptor's ``vjp``
    vjp    x, g -> J^T g      its backward   u -> J u     (by g) is the descriptor's ``jvp``
    jvp    x, u -> J u        its backward   h -> J^T h   (by u) is ``vjp`` again

So everything can be differentiated as often as one likes in what it is linear in, g and u: that is
all that training on forces needs. The derivative of J itself, by x, is not there; see ``compute``.

The function ``vjp`` of this module is one of g alone, for training on values that are computed
once, where x stays as it is.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchml_core import checks
from torchml_core.descriptors.base import Descriptor, check_configuration
from torchml_core.errors import InputError, UnsupportedError
from torchml_core.torch_threads import settle_torch

if TYPE_CHECKING:
    from torchml_core.configuration import Configuration
    from torchml_core.descriptors.base import Descriptor


def compute(
    descriptor: Descriptor,
    configuration: Configuration,
    positions: torch.Tensor,
    *,
    n_threads: int | None = None,
) -> torch.Tensor:
    """Compute a descriptor as a differentiable function of the particles' positions.

    Parameters
    ----------
    descriptor : Descriptor
    configuration : Configuration
        Gives species, contributing particles and neighbor lists; its own positions are not used.
        The lists must hold every pair within the cutoff at ``positions``.
    positions : (n_particles, 3) torch.Tensor
        Of all particles, ghosts too, in Å; any floating type and device (the work itself is done
        in float64 on the processor). As a function of atoms and cell:
        ``configuration.particle_positions(atom_positions, cell)``.
    n_threads : int, optional

    Returns
    -------
    (n_centers, width) torch.Tensor
        As ``descriptor.compute``, with the dtype and device of positions.

    Raises
    ------
    InputError
        If positions is not such a tensor, or not finite.
    UnsupportedError
        From the backward pass: if a gradient that was taken with ``create_graph=True`` (a force)
        is differentiated with respect to positions. See Notes.

    Notes
    -----
    Training on forces needs the derivative of forces by the *parameters* of a model. It is there:

    >>> energy = model(tm.autograd.compute(d, c, positions)).sum()        # doctest: +SKIP
    >>> forces = -torch.autograd.grad(energy, positions, create_graph=True)[0]  # doctest: +SKIP
    >>> loss = ((forces - target) ** 2).sum()                             # doctest: +SKIP
    >>> loss.backward(inputs=list(model.parameters()))                    # doctest: +SKIP

    The derivative of forces by *positions* (a Hessian) would need second derivatives of the
    descriptor, which descriptors do not have. Torch asks for it whenever positions require a
    gradient and nothing says that theirs is not wanted: so say ``inputs=``, or use
    ``torch.autograd.grad(loss, parameters)``. A plain ``loss.backward()`` raises UnsupportedError,
    because ``positions.grad`` would lack a part without anybody noticing.
    """
    if not isinstance(descriptor, Descriptor):
        checks.refuse("descriptor", descriptor, "a Descriptor")
    check_configuration(configuration)
    if not isinstance(positions, torch.Tensor) or not positions.is_floating_point():
        what = getattr(positions, "dtype", type(positions).__name__)
        raise InputError(f"positions is a {what}; a torch.Tensor of floating type is needed")
    if tuple(positions.shape) != (configuration.n_particles, 3):
        raise InputError(
            f"positions has shape {tuple(positions.shape)}; the configuration has"
            f" {configuration.n_particles} particles, ({configuration.n_particles}, 3) is needed"
        )
    return _Compute.apply(positions, _Verbs(descriptor, configuration, n_threads))


def vjp(
    descriptor: Descriptor,
    configuration: Configuration,
    dE_dD: torch.Tensor,
    *,
    n_threads: int | None = None,
) -> torch.Tensor:
    """Compute the gradient of an energy as a differentiable function of its dE/dD.

    For training: positions stay as they are, so the values of the descriptor are computed once, and
    only the model changes. Then dE/dD, a function of the model's parameters, is all that forces
    depend on. The function is linear: its backward pass is the descriptor's ``jvp``, and can be
    differentiated again.

    Parameters
    ----------
    descriptor : Descriptor
    configuration : Configuration
    dE_dD : (n_centers, width) torch.Tensor
        The gradient of the energy with respect to the values, of any device. What is float32 is
        computed in float32, any other floating type in float64.
    n_threads : int, optional

    Returns
    -------
    (n_particles, 3) torch.Tensor
        +dE/dr for every particle, including ghosts, as ``descriptor.vjp``; with the dtype and
        device of dE_dD.

    Raises
    ------
    InputError
        If dE_dD is not such a tensor, or not finite.

    Examples
    --------
    >>> import torch
    >>> import torchml_core as tm
    >>> from ase.build import bulk
    >>> d = tm.SymmetryFunctions(["Si"], 4.0, [("g2", [[0.1, 0.0], [1.0, 2.0]])])
    >>> c = tm.Configuration.from_atoms(bulk("Si", cubic=True), 4.0, ["Si"])
    >>> values = torch.from_numpy(d.compute(c)).requires_grad_(True)
    >>> model = torch.nn.Linear(2, 1, dtype=torch.float64)
    >>> (g,) = torch.autograd.grad(model(values).sum(), values, create_graph=True)
    >>> loss = (tm.autograd.vjp(d, c, g) ** 2).sum()
    >>> loss.backward()
    >>> model.weight.grad.shape
    torch.Size([1, 2])
    """
    if not isinstance(descriptor, Descriptor):
        checks.refuse("descriptor", descriptor, "a Descriptor")
    check_configuration(configuration)
    if not isinstance(dE_dD, torch.Tensor) or not dE_dD.is_floating_point():
        what = getattr(dE_dD, "dtype", type(dE_dD).__name__)
        raise InputError(f"dE_dD is a {what}; a torch.Tensor of floating type is needed")
    settle_torch()
    return _Gradient.apply(dE_dD, descriptor, configuration, n_threads)


class _Gradient(torch.autograd.Function):
    """g -> J^T g at fixed positions."""

    @staticmethod
    def forward(ctx, g, descriptor, *where):
        ctx.descriptor, ctx.where = descriptor, where
        return _applied(descriptor.vjp, g, *where)

    @staticmethod
    def backward(ctx, u):
        return _Change.apply(u, ctx.descriptor, *ctx.where), None, None, None


class _Change(torch.autograd.Function):
    """u -> J u at fixed positions."""

    @staticmethod
    def forward(ctx, u, descriptor, *where):
        ctx.descriptor, ctx.where = descriptor, where
        return _applied(descriptor.jvp, u, *where)

    @staticmethod
    def backward(ctx, h):
        return _Gradient.apply(h, ctx.descriptor, *ctx.where), None, None, None


def _applied(verb, tensor, configuration, n_threads):
    """A verb on a tensor, in its precision."""
    precision = torch.float32 if tensor.dtype == torch.float32 else torch.float64
    values = verb(configuration, _array(tensor, precision), n_threads=n_threads)
    return torch.from_numpy(values).to(tensor)


class _Verbs:
    """A descriptor's verbs on one set of lists, from tensors to tensors."""

    def __init__(self, descriptor, configuration, n_threads):
        self._descriptor, self._configuration = descriptor, configuration
        self._n_threads = n_threads
        self._evaluation = None  # of the last positions that require a gradient

    def compute(self, x):
        if x.requires_grad:
            self._evaluation = self._descriptor.evaluate(self._at(x), n_threads=self._n_threads)
            return torch.from_numpy(self._evaluation.values).to(x)
        values = self._descriptor.compute(self._at(x), n_threads=self._n_threads)
        return torch.from_numpy(values).to(x)

    def vjp(self, x, g):
        c, gradient = self._at(x), _array(g)
        e = self._evaluation
        if e is not None and np.array_equal(e.configuration.positions, c.positions):
            values = e.vjp(gradient)
        else:
            values = self._descriptor.vjp(c, gradient, n_threads=self._n_threads)
        return torch.from_numpy(values).to(x)

    def jvp(self, x, u):
        values = self._descriptor.jvp(self._at(x), _array(u), n_threads=self._n_threads)
        return torch.from_numpy(values).to(x)

    def _at(self, x):
        settle_torch()
        moved = copy.copy(self._configuration)  # keeps the lists
        moved.positions = checks.positions("positions", _array(x))
        return moved


def _array(tensor, dtype=torch.float64):
    try:
        array = tensor.detach().to("cpu", dtype).numpy()
    except RuntimeError as error:  # the vmap of is_grads_batched hands its wrappers to functions
        raise UnsupportedError(
            "batches of gradients of a descriptor are available by torch.func.jacrev or"
            f" torch.func.vmap only, not by is_grads_batched=True or vectorize=True: {error}"
        ) from error
    # gradients come expanded or transposed; kernels want rows one after another
    return np.ascontiguousarray(array)


class _OfVerbs(torch.autograd.Function):
    """What the three functions share: inputs are x, perhaps a second tensor, and the verbs.

    ``setup_context`` and ``vmap`` are there for torch.func's transforms, and for batches of
    gradients: kernels know no batches, so each member is computed by itself.
    """

    @staticmethod
    def setup_context(ctx, inputs, _):
        ctx.verbs = inputs[-1]
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @classmethod
    def vmap(cls, info, in_dims, *inputs):
        members = [
            cls.apply(
                *(
                    value if dim is None else value.select(dim, k)
                    for value, dim in zip(inputs, in_dims, strict=True)
                )
            )
            for k in range(info.batch_size)
        ]
        return torch.stack(members), 0


class _Compute(_OfVerbs):
    @staticmethod
    def forward(x, verbs):
        return verbs.compute(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return _Vjp.apply(_NoSecondDerivative.apply(x), g, ctx.verbs), None

    @staticmethod
    def jvp(ctx, u, _):
        (x,) = ctx.saved_tensors
        return _Jvp.apply(_NoSecondDerivative.apply(x), u, ctx.verbs)


class _Vjp(_OfVerbs):
    @staticmethod
    def forward(x, g, verbs):
        return verbs.vjp(x, g)

    @staticmethod
    def backward(ctx, u):
        (x,) = ctx.saved_tensors
        return None, _Jvp.apply(x, u, ctx.verbs), None

    @staticmethod
    def jvp(ctx, _x, g, _verbs):
        (x,) = ctx.saved_tensors
        return _Vjp.apply(x, g, ctx.verbs)


class _Jvp(_OfVerbs):
    @staticmethod
    def forward(x, u, verbs):
        return verbs.jvp(x, u)

    @staticmethod
    def backward(ctx, h):
        (x,) = ctx.saved_tensors
        return None, _Vjp.apply(x, h, ctx.verbs), None

    @staticmethod
    def jvp(ctx, _x, u, _verbs):
        (x,) = ctx.saved_tensors
        return _Jvp.apply(x, u, ctx.verbs)


class _NoSecondDerivative(torch.autograd.Function):
    """The identity, which cannot be differentiated.

    It is placed between x and the functions that are linear in something else. In its backward a
    function cannot know whether the gradient with respect to x is needed, but the engine does: it
    runs this node only if a derivative that passes through it is requested.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.view_as(x)

    @staticmethod
    def setup_context(*_):
        pass

    @staticmethod
    def backward(*_):
        raise UnsupportedError(
            "second derivatives of a descriptor with respect to positions are not available:"
            " differentiate with respect to the model's parameters only, with"
            " loss.backward(inputs=list(model.parameters())) or"
            " torch.autograd.grad(loss, parameters)"
        )

    jvp = backward
