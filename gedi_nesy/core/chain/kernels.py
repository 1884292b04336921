"""The compiled side of a whole SGLD chain (numba): executes a `chain.plan.Plan` on sixteen images at a time.

Sixteen images lie side by side in a vector register, so that a convolution is one fused multiply-add for each weight
and pixel, with its sums in registers, and the memory of sixteen images stays in the cache from step to step.
numba keeps the compiled code in its cache folder; without a folder that it can write to, each process compiles anew.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from gedi_nesy.core.chain.plan import (
    CONVOLVE,
    JOIN,
    LANES,
    POOL,
    POOL_BACK,
    RELU,
    RELU_BACK,
    SILU,
    SILU_BACK,
    SPLIT,
    SPREAD,
    TILES,
)

_INT, _INDEX = ir.IntType(64), ir.IntType(32)
_FLOAT, _VECTOR = ir.FloatType(), ir.VectorType(ir.FloatType(), LANES)
_CELL = 4 * LANES  # bytes


def compiled(function: Callable[..., None]) -> Any:
    """The function as machine code, kept on disk for other processes where there is a folder for it."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba has no folder for its cache
        return njit(nogil=True)(function)


def _at(builder: Any, kind: Any, base: Any, index: Any) -> Any:
    """Pointer to element `index` of an array of `kind` that begins at the address `base`."""
    return builder.gep(builder.inttoptr(base, kind.as_pointer()), [index])


def _load(builder: Any, pointer: Any, align: int) -> Any:
    value = builder.load(pointer)
    value.align = align
    return value


def _tile(channels: int, pixels: int) -> Any:
    """target[c, p] = bias[c] + sum_k weight[k, c] * source[offset[k] + p], for a few c and p, sums in registers."""

    @intrinsic
    def tile(context: Any, source: Any, offsets: Any, taps: Any, weight: Any, bias: Any, target: Any, step: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, offsets, taps, weight, bias, target, step = arguments
            multiply_add = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{LANES}f32"
            )

            def repeated(array: Any, index: Any) -> Any:
                number = _load(builder, _at(builder, _FLOAT, array, index), 4)
                first = builder.insert_element(_VECTOR(ir.Undefined), number, _INDEX(0))
                return builder.shuffle_vector(first, first, ir.VectorType(_INDEX, LANES)([0] * LANES))

            start = [repeated(bias, _INT(c)) for c in range(channels)]
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(_INT)
            sums = [[builder.phi(_VECTOR) for _ in range(pixels)] for _ in range(channels)]
            offset = _load(builder, _at(builder, _INT, offsets, k), 8)
            first_pixel = builder.ptrtoint(_at(builder, _FLOAT, source, offset), _INT)
            inputs = [_load(builder, _at(builder, _VECTOR, first_pixel, _INT(p)), _CELL) for p in range(pixels)]
            first_weight = builder.mul(k, _INT(channels))
            totals = []
            for c in range(channels):
                factor = repeated(weight, builder.add(first_weight, _INT(c)))
                totals.append([builder.call(multiply_add, [inputs[p], factor, sums[c][p]]) for p in range(pixels)])
                for p in range(pixels):
                    sums[c][p].add_incoming(start[c], before)
                    sums[c][p].add_incoming(totals[c][p], loop)
            following = builder.add(k, _INT(1))
            k.add_incoming(_INT(0), before)
            k.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, taps), loop, after)
            builder.position_at_end(after)
            for c in range(channels):
                for p in range(pixels):
                    index = builder.add(builder.mul(step, _INT(c)), _INT(p))
                    builder.store(totals[c][p], _at(builder, _VECTOR, target, index)).align = _CELL
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), generate

    return tile


def _cellwise(inputs: int, formula: Callable[..., list[Any]]) -> Any:
    """An operation on a tuple of cells' addresses: reads the first `inputs`, writes the formula to the others."""

    @intrinsic
    def operation(context: Any, addresses: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointers = [_at(builder, _VECTOR, a, _INT(0)) for a in cgutils.unpack_tuple(builder, arguments[0])]
            results = formula(builder, *[_load(builder, pointer, _CELL) for pointer in pointers[:inputs]])
            for result, pointer in zip(results, pointers[inputs:], strict=True):
                builder.store(result, pointer).align = _CELL
            return context.get_dummy_value()

        return types.void(addresses), generate

    return operation


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), b, a)


def _route(builder: Any, a: Any, b: Any, c: Any, d: Any, gradient: Any) -> list[Any]:
    """The gradient of max(a, b, c, d), all of it to the first of equals."""
    zero = _VECTOR(None)
    upper = builder.fcmp_ordered(">=", _larger(builder, a, b), _larger(builder, c, d))
    above, below = builder.select(upper, gradient, zero), builder.select(upper, zero, gradient)
    left, left_below = builder.fcmp_ordered(">=", a, b), builder.fcmp_ordered(">=", c, d)
    return [
        *(builder.select(left, above, zero), builder.select(left, zero, above)),
        *(builder.select(left_below, below, zero), builder.select(left_below, zero, below)),
    ]


def _exponential(builder: Any, x: Any) -> Any:
    """exp(x) for x in [-80, 80], to a few units in the last place: 2^n times a polynomial of the remainder."""

    def constant(number: float) -> Any:
        return _VECTOR([number] * LANES)

    def call(name: str, *arguments: Any) -> Any:
        signature = ir.FunctionType(_VECTOR, [_VECTOR] * len(arguments))
        function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.v{LANES}f32")
        return builder.call(function, arguments)

    x = call("minnum", call("maxnum", x, constant(-80.0)), constant(80.0))
    n = call("rint", builder.fmul(x, constant(1.4426950408889634)))
    rest = call("fma", n, constant(-0.693359375), x)  # ln 2 in two parts, the first of few bits
    rest = call("fma", n, constant(2.12194440e-4), rest)
    series = constant(1 / 5040)
    for factor in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        series = call("fma", series, rest, constant(factor))
    integers = ir.VectorType(_INDEX, LANES)
    exponent = builder.add(builder.fptosi(n, integers), integers([127] * LANES))
    power = builder.bitcast(builder.shl(exponent, integers([23] * LANES)), _VECTOR)
    return builder.fmul(series, power)


def _silu_and_slope(builder: Any, x: Any) -> list[Any]:
    """x s and its derivative s + x s (1 - s), with s = 1 / (1 + exp(-x))."""
    one = _VECTOR([1.0] * LANES)
    s = builder.fdiv(one, builder.fadd(one, _exponential(builder, builder.fsub(_VECTOR(None), x))))
    y = builder.fmul(x, s)
    return [y, builder.fadd(s, builder.fmul(y, builder.fsub(one, s)))]


_tile_6x4, _tile_4x4, _tile_2x4, _tile_1x7, _tile_8x1, _tile_4x1, _tile_2x1, _tile_1x1 = (_tile(*t) for t in TILES)
_copy = _cellwise(1, lambda builder, a: [a])
_clip = _cellwise(1, lambda builder, a: [_larger(builder, a, _VECTOR(None))])
_mask = _cellwise(
    2, lambda builder, a, g: [builder.select(builder.fcmp_ordered(">", a, _VECTOR(None)), g, _VECTOR(None))]
)
_silu = _cellwise(1, _silu_and_slope)
_multiply = _cellwise(2, lambda builder, a, b: [builder.fmul(a, b)])
_maximum = _cellwise(4, lambda builder, a, b, c, d: [_larger(builder, _larger(builder, a, b), _larger(builder, c, d))])
_backward_maximum = _cellwise(5, _route)


@compiled
def _convolve(op: Any, memory: Any, offsets: Any, weights: Any) -> None:
    step, shape = op.height * op.width, (op.tile_channels, op.tile_pixels)
    for block in range(op.channels // op.tile_channels):
        bias = weights + 4 * (op.bias + block * op.tile_channels)
        for row in range(op.height):
            # The kernel's rows that meet the source; those in its margins would only add zeros.
            first, last = max(0, op.margin - row), min(op.side, op.margin + op.source_rows - row)
            taps = (last - first) * op.row_taps
            offset = offsets + 8 * (op.offset + first * op.row_taps)
            weight = weights + 4 * (op.weight + (block * op.side + first) * op.row_taps * op.tile_channels)
            for begin in range(0, op.width, op.tile_pixels):
                column = min(begin, op.width - op.tile_pixels)  # the last tile overlaps the one before it
                source = memory + _CELL * (op.source + (row - op.margin) * op.source_row + column)
                place = (block * op.tile_channels * op.height + row) * op.width + column
                target = memory + _CELL * (op.target + place)
                if shape == (6, 4):
                    _tile_6x4(source, offset, taps, weight, bias, target, step)
                elif shape == (4, 4):
                    _tile_4x4(source, offset, taps, weight, bias, target, step)
                elif shape == (2, 4):
                    _tile_2x4(source, offset, taps, weight, bias, target, step)
                elif shape == (1, 7):
                    _tile_1x7(source, offset, taps, weight, bias, target, step)
                elif shape == (8, 1):
                    _tile_8x1(source, offset, taps, weight, bias, target, step)
                elif shape == (4, 1):
                    _tile_4x1(source, offset, taps, weight, bias, target, step)
                elif shape == (2, 1):
                    _tile_2x1(source, offset, taps, weight, bias, target, step)
                else:
                    _tile_1x1(source, offset, taps, weight, bias, target, step)


@compiled
def _pool(op: Any, memory: Any, back: bool) -> None:
    """Pools of 2 x 2 cells; back, their gradients."""
    below = _CELL * 2 * op.width
    for row in range(op.channels * op.height):
        for column in range(op.width):
            window, pooled = 2 * (row * 2 * op.width + column), row * op.width + column
            a = memory + _CELL * (op.source + window)
            if back:
                g, t = memory + _CELL * (op.gradient + pooled), memory + _CELL * (op.target + window)
                reads, writes = (
                    (a, a + _CELL, a + below, a + below + _CELL, g),
                    (t, t + _CELL, t + below, t + below + _CELL),
                )
                _backward_maximum(reads + writes)
            else:
                target = memory + _CELL * (op.target + pooled)
                _maximum((a, a + _CELL, a + below, a + below + _CELL, target))


@compiled
def _relu(op: Any, memory: Any, back: bool) -> None:
    for cell in range(op.channels * op.height * op.width):
        value, gradient = memory + _CELL * (op.source + cell), memory + _CELL * (op.gradient + cell)
        if back:
            _mask((value, gradient, gradient))
        else:
            _clip((value, value))


@compiled
def _activate(op: Any, memory: Any, back: bool) -> None:
    """SiLU in place, its derivative beside it; back, the gradient times the derivative."""
    for cell in range(op.channels * op.height * op.width):
        slope = memory + _CELL * (op.slope + cell)
        if back:
            gradient = memory + _CELL * (op.gradient + cell)
            _multiply((slope, gradient, gradient))
        else:
            value = memory + _CELL * (op.target + cell)
            _silu((value, value, slope))


@compiled
def _split(op: Any, memory: Any, back: bool) -> None:
    """[channels, rows, columns] to [channels, 2, 2, rows / 2, columns / 2], even ones before odd ones; or back."""
    size = op.height * op.width
    for channel in range(op.channels):
        for row in range(2 * op.height):
            for column in range(2 * op.width):
                whole = (channel * 2 * op.height + row) * 2 * op.width + column
                part = ((channel * 2 + row % 2) * 2 + column % 2) * size + row // 2 * op.width + column // 2
                source, target = (part, whole) if back else (whole, part)
                _copy((memory + _CELL * (op.source + source), memory + _CELL * (op.target + target)))


@compiled
def _spread(op: Any, memory: Any) -> None:
    """Copy rows of cells, `margin` cells before each of them."""
    for row in range(op.channels * op.height):
        source = memory + _CELL * (op.source + row * op.width)
        target = memory + _CELL * (op.target + row * (op.width + op.margin) + op.margin)
        for column in range(op.width):
            _copy((source + _CELL * column, target + _CELL * column))


@compiled
def _softmax(op: Any, memory: Any) -> None:
    for lane in range(LANES):
        largest = memory[op.source, lane]
        for c in range(1, op.channels):
            largest = max(largest, memory[op.source + c, lane])
        total = np.float32(0)
        for c in range(op.channels):
            memory[op.target + c, lane] = np.exp(memory[op.source + c, lane] - largest)
            total += memory[op.target + c, lane]
        for c in range(op.channels):
            memory[op.target + c, lane] /= total


@compiled
def _means(memory: Any, ground: Any, size: int) -> None:
    """The mean of each channel of the input, `size` cells, in all its cells of `ground`."""
    for first in range(0, len(ground), size):
        total = np.zeros(LANES, np.float32)
        for cell in range(first, first + size):
            for lane in range(LANES):
                total[lane] += memory[cell, lane]
        for cell in range(first, first + size):
            for lane in range(LANES):
                ground[cell, lane] = total[lane] / np.float32(size)


@compiled
def advance(
    operations: Any,
    offsets: Any,
    weights: Any,
    memory: Any,
    x: Any,
    noise: Any,
    ground: Any,
    own: int,
    first: int,
    last: int,
    step_size: np.float32,
    pull: np.float32,
    noise_scale: np.float32,
    low: np.float32,
    high: np.float32,
) -> None:
    """Advance chunks first to last - 1 of x in place, one step for each noise.

    x is [chunks, cells, LANES], noise [steps, chunks, LANES, cells] and ground [cells, LANES]; a step takes every cell
    back to its ground by `pull` of the distance. Where `own` is not 0 it counts the channels, and the ground of each
    lane's channels is their mean, which every step writes to `ground`.
    `memory`, [plan.cells, LANES], must begin at a multiple of 64 bytes and be zero at first.
    """
    cells = x.shape[1]
    address = memory.ctypes.data
    for chunk in range(first, last):
        for cell in range(cells):
            for lane in range(LANES):
                memory[cell, lane] = x[chunk, cell, lane]
        for step in range(len(noise)):
            for i in range(len(operations)):
                op = operations[i]
                if op.kind == CONVOLVE:
                    _convolve(op, address, offsets.ctypes.data, weights.ctypes.data)
                elif op.kind == POOL or op.kind == POOL_BACK:
                    _pool(op, address, op.kind == POOL_BACK)
                elif op.kind == RELU or op.kind == RELU_BACK:
                    _relu(op, address, op.kind == RELU_BACK)
                elif op.kind == SILU or op.kind == SILU_BACK:
                    _activate(op, address, op.kind == SILU_BACK)
                elif op.kind == SPLIT or op.kind == JOIN:
                    _split(op, address, op.kind == JOIN)
                elif op.kind == SPREAD:
                    _spread(op, address)
                else:
                    _softmax(op, memory)
            if own:
                _means(memory, ground, cells // own)
            for cell in range(cells):
                for lane in range(LANES):
                    gradient = memory[cells + cell, lane]  # the plan puts it right behind the input
                    value = memory[cell, lane] + step_size * gradient + noise_scale * noise[step, chunk, lane, cell]
                    value += pull * (ground[cell, lane] - memory[cell, lane])
                    value = low if value < low else value  # not max and min, which would hide a NaN
                    memory[cell, lane] = high if value > high else value
        for cell in range(cells):
            for lane in range(LANES):
                x[chunk, cell, lane] = memory[cell, lane]
