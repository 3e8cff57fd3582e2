"""One epoch of a small perceptron on one thread: forward, backward and Adam in compiled loops.

At these sizes a library call costs as much as its arithmetic, and one matrix product after another
reads what the last one wrote. Here a step of Adam is one pass over the parameters, and the batch is
read where it lies. The blocks of rows and units are what keeps the vector registers busy.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_REORDER = {"reassoc", "contract", "nsz"}


@njit(cache=True)
def run_epoch(
    features: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    units: np.ndarray,
    state: np.ndarray,
    values: np.ndarray,
    deltas: np.ndarray,
    rates: np.ndarray,
    constants: np.ndarray,
    batch_rows: int,
) -> float:
    """Move one fit through all its batches.

    Args:
        features: (n, d) float32 or float64, C order; the arrays below are of the same type.
        labels: (n,) 0/1.
        order: (rows of the fit,) int64, in the order of this epoch.
        units: (layers + 1,) int64 widths from the inputs to the single output.
        state: (4, parameters): parameters, Adam's means and squares, and room for the gradients.
        values: (layers, batch rows, widest layer), room for activations.
        deltas: Like `values`, room for the errors.
        rates: (batches,), Adam's step with its bias correction, negative.
        constants: L2 penalty, decay of the means, one minus it, decay of the squares, one minus
            it, Adam's epsilon, precision of the type.
        batch_rows: Rows of a batch; the last may have fewer.

    Returns:
        The mean of the losses before each step, penalty included.
    """
    n_weights = 0
    for layer in range(len(units) - 1):
        n_weights += units[layer] * units[layer + 1]
    within = np.arange(batch_rows)
    small = np.empty(2, features.dtype)
    total = 0.0
    for step in range(len(rates)):
        rows = order[step * batch_rows : (step + 1) * batch_rows]
        _forward(features, rows, units, n_weights, state[0], values, within)
        small[0], small[1] = 1.0 / len(rows), constants[0] / len(rows)
        loss = _output(labels, rows, values[-1], deltas[-1], small[0], float(constants[6]))
        _backward(features, rows, units, n_weights, state, values, deltas, within)
        squares = _adam(state, n_weights, small[1], rates[step], constants)
        total += loss + 0.5 * constants[0] * squares
    return total / len(order)


@njit(cache=True)
def _forward(features, rows, units, n_weights, parameters, values, within):
    """Activations of every layer; the last one keeps its logits."""
    at, bias_at = 0, n_weights
    layers = len(units) - 1
    for layer in range(layers):
        fan_in, fan_out = units[layer], units[layer + 1]
        weight = parameters[at : at + fan_in * fan_out].reshape((fan_out, fan_in))
        bias = parameters[bias_at : bias_at + fan_out]
        if layer == 0:
            _product(features, rows, weight, bias, values[0])
        else:
            _product(values[layer - 1], within[: len(rows)], weight, bias, values[layer])
        if layer < layers - 1:
            for row in range(len(rows)):
                for unit in range(fan_out):
                    values[layer, row, unit] = max(
                        values[layer, row, unit], values[layer, row, unit] * 0
                    )
        at += fan_in * fan_out
        bias_at += fan_out


@njit(cache=True, fastmath=_REORDER)
def _product(inputs, rows, weight, bias, out):
    """Rows times weights plus bias, two rows and four units at a time."""
    n_rows, last = len(rows), len(bias) - 1
    for row in range(0, n_rows, 2):
        # Past the end the last row or unit is computed again, which needs no loop of its own.
        other = min(row + 1, n_rows - 1)
        x, z = inputs[rows[row]], inputs[rows[other]]
        for unit in range(0, last + 1, 4):
            u1, u2, u3 = min(unit + 1, last), min(unit + 2, last), min(unit + 3, last)
            w0, w1, w2, w3 = weight[unit], weight[u1], weight[u2], weight[u3]
            a0, a1, a2, a3 = bias[unit], bias[u1], bias[u2], bias[u3]
            b0, b1, b2, b3 = a0, a1, a2, a3
            for k in range(weight.shape[1]):
                a0 += x[k] * w0[k]
                a1 += x[k] * w1[k]
                a2 += x[k] * w2[k]
                a3 += x[k] * w3[k]
                b0 += z[k] * w0[k]
                b1 += z[k] * w1[k]
                b2 += z[k] * w2[k]
                b3 += z[k] * w3[k]
            out[row, unit], out[row, u1], out[row, u2], out[row, u3] = a0, a1, a2, a3
            out[other, unit], out[other, u1], out[other, u2], out[other, u3] = b0, b1, b2, b3


@njit(cache=True)
def _output(labels, rows, logits, delta, share, precision):
    """Error at the output, divided by the rows; returns the sum of the rows' losses."""
    loss = 0.0
    for row in range(len(rows)):
        logit, label = float(logits[row, 0]), labels[rows[row]]
        # Never the exponential of a large number.
        small = math.exp(-abs(logit))
        chance = (1.0 if logit >= 0 else small) / (1.0 + small)
        right = (1.0 if (logit >= 0) == (label > 0) else small) / (1.0 + small)
        delta[row, 0] = (chance - label) * share
        loss -= math.log(min(max(right, precision), 1.0 - precision))
    return loss


@njit(cache=True)
def _backward(features, rows, units, n_weights, state, values, deltas, within):
    """Gradients of the data term into the last row of the state."""
    parameters, gradients = state[0], state[3]
    at, bias_at = n_weights, len(parameters)
    for layer in range(len(units) - 2, -1, -1):
        fan_in, fan_out = units[layer], units[layer + 1]
        at -= fan_in * fan_out
        bias_at -= fan_out
        gradient = gradients[at : at + fan_in * fan_out].reshape((fan_out, fan_in))
        delta = deltas[layer]
        for unit in range(fan_out):
            gradients[bias_at + unit] = 0
        for row in range(len(rows)):
            for unit in range(fan_out):
                gradients[bias_at + unit] += delta[row, unit]
        if layer == 0:
            _outer(delta, features, rows, gradient)
        else:
            _outer(delta, values[layer - 1], within[: len(rows)], gradient)
            weight = parameters[at : at + fan_in * fan_out].reshape((fan_out, fan_in))
            _error_below(delta, weight, values[layer - 1], deltas[layer - 1], len(rows))


@njit(cache=True, fastmath=_REORDER)
def _outer(delta, inputs, rows, gradient):
    """Transposed errors times rows, eight rows at a time."""
    gradient[:] = 0
    whole = len(rows) // 8 * 8
    for row in range(0, whole, 8):
        x0, x1, x2, x3 = (
            inputs[rows[row]],
            inputs[rows[row + 1]],
            inputs[rows[row + 2]],
            inputs[rows[row + 3]],
        )
        x4, x5, x6, x7 = (
            inputs[rows[row + 4]],
            inputs[rows[row + 5]],
            inputs[rows[row + 6]],
            inputs[rows[row + 7]],
        )
        for unit in range(gradient.shape[0]):
            d0, d1, d2, d3 = (
                delta[row, unit],
                delta[row + 1, unit],
                delta[row + 2, unit],
                delta[row + 3, unit],
            )
            d4, d5, d6, d7 = (
                delta[row + 4, unit],
                delta[row + 5, unit],
                delta[row + 6, unit],
                delta[row + 7, unit],
            )
            own = gradient[unit]
            for k in range(len(own)):
                own[k] += (d0 * x0[k] + d1 * x1[k] + d2 * x2[k] + d3 * x3[k]) + (
                    d4 * x4[k] + d5 * x5[k] + d6 * x6[k] + d7 * x7[k]
                )
    for row in range(whole, len(rows)):
        x0 = inputs[rows[row]]
        for unit in range(gradient.shape[0]):
            d0, own = delta[row, unit], gradient[unit]
            for k in range(len(own)):
                own[k] += d0 * x0[k]


@njit(cache=True, fastmath=_REORDER)
def _error_below(delta, weight, values, below, n_rows):
    """Errors of a layer from those of the next, none where the unit was off."""
    fan_out, fan_in = weight.shape
    for row in range(n_rows):
        own, active = below[row], values[row]
        for k in range(fan_in):
            own[k] = 0
        for unit in range(fan_out):
            d0, w0 = delta[row, unit], weight[unit]
            for k in range(fan_in):
                own[k] += d0 * w0[k]
        for k in range(fan_in):
            own[k] = own[k] if active[k] > 0 else own[k] * 0


# With Python's division error the loop would not be vectorised.
@njit(cache=True, fastmath=_REORDER, error_model="numpy")
def _adam(state, n_weights, decay, rate, constants):
    """One step; returns the sum of the squared weights before it."""
    parameters, means, squares, gradients = state[0], state[1], state[2], state[3]
    kept, fresh, kept_square, fresh_square = constants[1], constants[2], constants[3], constants[4]
    epsilon = constants[5]
    total = constants[0] * 0
    for k in range(n_weights):
        gradients[k] += decay * parameters[k]
        total += parameters[k] * parameters[k]
    for k in range(len(parameters)):
        means[k] = kept * means[k] + fresh * gradients[k]
        squares[k] = kept_square * squares[k] + fresh_square * gradients[k] * gradients[k]
        parameters[k] += rate * means[k] / (np.sqrt(squares[k]) + epsilon)
    return total
