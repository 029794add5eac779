"""Feed-forward networks: the energies of atoms and their gradients, with an atom in each lane.

Each layer is a product of a small matrix with vectors of atoms (``simd/products.pyx``), so that no
sum crosses lanes: what an atom gets depends neither on the other atoms nor on threads, to the last
bit. The gradient goes back through the layers while their values are still in cache.
"""

import numpy as np

cimport numpy as cnp
from libc.math cimport cos, exp, sin
from libc.stdint cimport int64_t

from torchml_core._parallel cimport Threads, Work, in_threads
from torchml_core.simd.elementary cimport vexp, vexpm1, vlog
from torchml_core.simd.products cimport Product, product
from torchml_core.simd.vectors cimport (
    get, lanes_of, put, splat, splat_at, vabs, vdouble, vec, vfloat, vmax, vpick, vstep,
)

cnp.import_array()

cdef enum:
    VECTORS = 2                 # of atoms at a time: see products.pyx
    BLOCKS_AT_ONCE = 2
    ALIGNMENT = 64

# In this order in C; names as in nn/activations.py.
ACTIVATIONS = (
    "linear", "tanh", "logistic", "softplus", "relu", "gaussian", "cos", "reverse_logistic",
    "exp", "harmonic",
)

cdef enum Activation:
    LINEAR
    TANH
    LOGISTIC
    SOFTPLUS
    RELU
    GAUSSIAN
    COSINE
    REVERSE_LOGISTIC
    EXPONENTIAL
    HARMONIC


cdef struct Layer:
    Py_ssize_t n_inputs
    Py_ssize_t n_nodes
    Activation activation
    double inverse_divisor
    const void *weights         # (n_nodes, n_inputs), in the network's precision
    const void *transposed      # (n_inputs, n_nodes)
    const void *bias            # (n_nodes,)


cdef struct Network:
    Py_ssize_t n_inputs
    Py_ssize_t n_layers
    Py_ssize_t most_nodes       # of any layer, the inputs among them
    const Layer *layers
    const void *shift           # (n_inputs,)
    const void *factor          # (n_inputs,)
    double energy_factor


# Work on atoms: rows of ``values`` and ``gradient`` (n, columns), which are float64.
cdef struct Task:
    const Network *network
    const double *values
    double *gradient            # NULL: only energies
    double *energies
    const int64_t *rows         # (n_rows,) NULL: all
    Py_ssize_t n_rows
    Py_ssize_t columns
    char *scratch               # of each thread
    Py_ssize_t scratch_bytes


# ---- activation functions


cdef inline vec tanh_of(vec x, vec *slope) noexcept nogil:
    """tanh(x) = -m / (m + 2) with m = exp(-2 |x|) - 1: good to the last digits for any x."""
    cdef vec m = vabs(x) * splat(-2, &x)
    m = vexpm1(m)
    cdef vec y = -m / (m + 2)
    y = vpick(x, y, -y)
    slope[0] = 1 - y * y
    return y


cdef inline vec logistic_of(vec x, vec *slope) noexcept nogil:
    cdef vec t = vexp(-vabs(x))
    cdef vec y = 1 / (1 + t)
    slope[0] = t * y * y
    return vpick(x, y, t * y)


cdef inline vec softplus_of(vec x, vec *slope) noexcept nogil:
    """max(x, 0) + ln(1 + t) with t = exp(-|x|), and what 1 + t is rounded by made good."""
    cdef vec t = vexp(-vabs(x))
    cdef vec u = 1 + t
    slope[0] = vpick(x, 1 / u, t / u)
    return vmax(splat(0, &x), x) + (vlog(u) + (t - (u - 1)) / u)


cdef inline vec one_by_one(Activation activation, vec x, vec *slope) noexcept nogil:
    """With the C library's functions, for the rare ones whose arguments may be of any size."""
    cdef vec y = x
    cdef Py_ssize_t lane
    cdef double number
    slope[0] = x
    for lane in range(lanes_of(&x)):
        number = get(&x, lane)
        if activation == COSINE:
            put(&y, lane, cos(number))
            put(slope, lane, -sin(number))
        else:
            put(&y, lane, exp(-number))
            put(slope, lane, -exp(-number))
    return y


cdef inline vec activate(Activation activation, vec x, vec *slope) noexcept nogil:
    """f(x), and f'(x) in ``slope``."""
    cdef vec y
    if activation == TANH:
        return tanh_of(x, slope)
    if activation == LOGISTIC:
        return logistic_of(x, slope)
    if activation == REVERSE_LOGISTIC:
        y = logistic_of(-x, slope)
        slope[0] = -slope[0]
        return y
    if activation == SOFTPLUS:
        return softplus_of(x, slope)
    if activation == RELU:
        slope[0] = vstep(x)
        return vmax(splat(0, &x), x)
    if activation == GAUSSIAN:
        y = x * x * splat(-0.5, &x)  # in a variable: Cython knows its type
        y = vexp(y)
        slope[0] = -x * y
        return y
    if activation == COSINE or activation == EXPONENTIAL:
        return one_by_one(activation, x, slope)
    if activation == HARMONIC:
        slope[0] = 2 * x
        return x * x
    slope[0] = splat(1, &x)
    return x


# ---- one block of atoms: arrays are (nodes, VECTORS) vectors


cdef void forward_layer(
    const Layer *layer, const vec *inputs, vec *outputs, vec *slopes
) noexcept nogil:
    cdef Py_ssize_t node, v
    cdef Product p
    cdef vec bias, x
    cdef vec inverse = splat(layer.inverse_divisor, outputs)
    p.repeat, p.a_outer, p.b_outer = 1, 0, 0
    p.n_all = p.n_inner = layer.n_inputs
    p.a_inner, p.a_row, p.b_inner = layer.n_nodes, 1, VECTORS * lanes_of(outputs)
    p.out_row, p.out_vector = VECTORS, 1
    product(
        &p, <const vec *> layer.transposed, inputs, outputs, layer.n_nodes, VECTORS, False
    )
    for node in range(layer.n_nodes):
        bias = splat_at(<const vec *> layer.bias, node)
        for v in range(VECTORS * node, VECTORS * (node + 1)):
            x = (outputs[v] + bias) * inverse
            outputs[v] = activate(layer.activation, x, &slopes[v])
            slopes[v] = slopes[v] * inverse


cdef void backward_layer(
    const Layer *layer, vec *gradient, const vec *slopes, vec *result
) noexcept nogil:
    """From the gradient with respect to the outputs to that with respect to the inputs."""
    cdef Py_ssize_t v
    cdef Product p
    for v in range(layer.n_nodes * VECTORS):
        gradient[v] = gradient[v] * slopes[v]
    p.repeat, p.a_outer, p.b_outer = 1, 0, 0
    p.n_all = p.n_inner = layer.n_nodes
    p.a_inner, p.a_row, p.b_inner = layer.n_inputs, 1, VECTORS * lanes_of(gradient)
    p.out_row, p.out_vector = VECTORS, 1
    product(
        &p, <const vec *> layer.weights, gradient, result, layer.n_inputs, VECTORS, False
    )


cdef void take_rows(
    const Task *task, Py_ssize_t first, Py_ssize_t n, vec *inputs
) noexcept nogil:
    """Scaled values of n atoms; lanes without an atom repeat the last one."""
    cdef const Network *network = task.network
    cdef Py_ssize_t n_lanes = VECTORS * lanes_of(inputs), lane, k, at
    cdef const vec *shift = <const vec *> network.shift
    cdef const vec *factor = <const vec *> network.factor
    cdef const double *row
    for lane in range(n_lanes):
        at = first + min(lane, n - 1)
        row = task.values + (at if task.rows == NULL else task.rows[at]) * task.columns
        for k in range(network.n_inputs):
            put(inputs, k * n_lanes + lane, row[k])
    for k in range(network.n_inputs):
        for at in range(VECTORS * k, VECTORS * (k + 1)):
            inputs[at] = (inputs[at] - splat_at(shift, k)) * splat_at(factor, k)


cdef void add_to_rows(
    const Task *task, Py_ssize_t first, Py_ssize_t n, const vec *energies, vec *gradient
) noexcept nogil:
    cdef const Network *network = task.network
    cdef Py_ssize_t n_lanes = VECTORS * lanes_of(gradient), lane, k, at
    cdef const vec *factor = <const vec *> network.factor
    cdef double *row
    if task.gradient != NULL:
        for k in range(network.n_inputs):
            for at in range(VECTORS * k, VECTORS * (k + 1)):
                gradient[at] = gradient[at] * splat_at(factor, k)
    for lane in range(n):
        at = first + lane if task.rows == NULL else task.rows[first + lane]
        task.energies[at] += network.energy_factor * get(energies, lane)
        if task.gradient != NULL:
            row = task.gradient + at * task.columns
            for k in range(network.n_inputs):
                row[k] += get(gradient, k * n_lanes + lane)


cdef void block(
    const Task *task, Py_ssize_t first, Py_ssize_t n, char *scratch, vec *type_tag
) noexcept nogil:
    cdef const Network *network = task.network
    cdef Py_ssize_t array = network.most_nodes * VECTORS, k
    cdef vec *values = <vec *> scratch
    cdef vec *other = values + array
    cdef vec *slopes = other + array     # of each layer
    cdef vec *swap
    take_rows(task, first, n, values)
    for k in range(network.n_layers):
        forward_layer(&network.layers[k], values, other, slopes + k * array)
        swap = values
        values = other
        other = swap
    swap = slopes + network.n_layers * array
    swap[0], swap[1] = values[0], values[1]
    if task.gradient != NULL:
        values[0] = values[1] = splat(network.energy_factor, values)
        for k in range(network.n_layers - 1, -1, -1):
            backward_layer(&network.layers[k], values, slopes + k * array, other)
            values, other = other, values
    add_to_rows(task, first, n, slopes + network.n_layers * array, values)


cdef void blocks(
    const Task *task, Py_ssize_t begin, Py_ssize_t end, int thread, vec *type_tag
) noexcept nogil:
    cdef Py_ssize_t n_lanes = VECTORS * lanes_of(type_tag), b
    cdef char *scratch = task.scratch + thread * task.scratch_bytes
    for b in range(begin, end):
        block(task, b * n_lanes, min(n_lanes, task.n_rows - b * n_lanes), scratch, type_tag)


cdef void single_blocks(
    void *task, Py_ssize_t begin, Py_ssize_t end, int thread
) noexcept nogil:
    blocks(<const Task *> task, begin, end, thread, <vfloat *> NULL)


cdef void double_blocks(
    void *task, Py_ssize_t begin, Py_ssize_t end, int thread
) noexcept nogil:
    blocks(<const Task *> task, begin, end, thread, <vdouble *> NULL)


# ---- for Python


cdef class FeedForward:
    """``energy_factor * network((D - shift) * factor)`` and its gradient.

    Parameters
    ----------
    shift, factor : (n_inputs,) array
    layers : list of (weights (n_nodes, n_inputs), bias (n_nodes,), divisor, activation)
        The last one has one node.
    energy_factor : float
    dtype : float64 or float32
        What is computed with. Values, energies and gradients are float64.
    """

    cdef Network network
    cdef Layer[64] layers
    cdef object arrays          # kept alive
    cdef bint single
    cdef readonly Py_ssize_t width

    def __init__(self, shift, factor, layers, energy_factor, dtype):
        if not 1 <= len(layers) <= 64 or len(layers[len(layers) - 1][1]) != 1:
            raise ValueError("1 to 64 layers, the last one of one node, are needed")
        if np.ndim(shift) != 1 or np.shape(shift) != np.shape(factor) or not len(shift):
            raise ValueError(f"shift {np.shape(shift)}, factor {np.shape(factor)}")
        self.arrays = []
        self.single = np.dtype(dtype) == np.float32
        self.width = self.network.n_inputs = self.network.most_nodes = len(shift)
        self.network.shift = self.keep(shift, dtype)
        self.network.factor = self.keep(factor, dtype)
        self.network.energy_factor = energy_factor
        self.network.n_layers = len(layers)
        self.network.layers = self.layers
        n_inputs = self.width
        for k, (weights, bias, divisor, activation) in enumerate(layers):
            if np.ndim(bias) != 1 or np.shape(weights) != (len(bias), n_inputs):
                raise ValueError(f"layer {k}: weights {np.shape(weights)}, bias {np.shape(bias)}")
            self.layers[k].n_inputs = n_inputs
            self.layers[k].n_nodes = n_inputs = len(bias)
            self.layers[k].activation = <Activation> <int> ACTIVATIONS.index(activation)
            self.layers[k].inverse_divisor = 1.0 / divisor
            self.layers[k].weights = self.keep(weights, dtype)
            self.layers[k].transposed = self.keep(np.transpose(weights), dtype)
            self.layers[k].bias = self.keep(bias, dtype)
            self.network.most_nodes = max(self.network.most_nodes, n_inputs)

    def add(self, values, rows, energies, gradient, threads):
        """Add the energies of atoms, and the gradient with respect to their values.

        Parameters
        ----------
        values : (n, columns) C-contiguous float64
            At least n_inputs columns; those beyond are not used.
        rows : (n_rows,) C-contiguous int64 array or None
            Only these rows are worked on.
        energies : (n,) C-contiguous float64
        gradient : (n, columns) C-contiguous float64 or None
        threads : torchml_core.threads.Threads
        """
        cdef const double[:, ::1] own_values = values
        cdef double[::1] own_energies = energies
        cdef double[:, ::1] own_gradient
        cdef const int64_t[::1] own_rows
        cdef cnp.uint8_t[::1] scratch
        cdef Task task
        cdef Py_ssize_t n_lanes = VECTORS * (
            lanes_of(<const vfloat *> NULL) if self.single else lanes_of(<const vdouble *> NULL)
        )
        cdef Py_ssize_t n_blocks, n_arrays = self.network.n_layers + 2
        cdef int n_threads
        cdef Threads team
        cdef Work work = single_blocks if self.single else double_blocks
        if own_values.shape[1] < self.width or own_energies.shape[0] != own_values.shape[0]:
            raise ValueError(f"values {np.shape(values)}, energies {np.shape(energies)}")
        task.network = &self.network
        task.n_rows = own_values.shape[0]
        task.columns = own_values.shape[1]
        task.rows, task.gradient = NULL, NULL
        if rows is not None:
            own_rows = rows
            task.n_rows = own_rows.shape[0]
            if task.n_rows:
                task.rows = &own_rows[0]
        if task.n_rows == 0:
            return
        task.values, task.energies = &own_values[0, 0], &own_energies[0]
        if gradient is not None:
            own_gradient = gradient
            if np.shape(gradient) != np.shape(values):
                raise ValueError(f"values {np.shape(values)}, gradient {np.shape(gradient)}")
            task.gradient = &own_gradient[0, 0]
        n_blocks = (task.n_rows + n_lanes - 1) // n_lanes
        n_threads = <int> max(1, min(<Py_ssize_t> threads.most, n_blocks // BLOCKS_AT_ONCE))
        # arrays of VECTORS vectors for each node, and one for the energies
        task.scratch_bytes = (n_arrays * self.network.most_nodes + 1) * n_lanes * (
            4 if self.single else 8
        )
        task.scratch_bytes = (task.scratch_bytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        scratch = np.empty(n_threads * task.scratch_bytes + ALIGNMENT, dtype=np.uint8)
        task.scratch = <char *> (
            (<size_t> &scratch[0] + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        )
        team = Threads(n_threads, threads.by_work)
        with nogil:
            in_threads(team, n_blocks, BLOCKS_AT_ONCE, work, &task)

    def times(self, factor):
        """Return the same network with all energies multiplied with a factor."""
        cdef FeedForward other = FeedForward.__new__(FeedForward)
        other.network, other.layers = self.network, self.layers
        other.network.layers = other.layers
        other.network.energy_factor *= factor
        other.arrays, other.single, other.width = self.arrays, self.single, self.width
        return other

    cdef const void *keep(self, values, dtype):
        array = np.ascontiguousarray(values, dtype=dtype).copy()
        self.arrays.append(array)
        return cnp.PyArray_DATA(array)
