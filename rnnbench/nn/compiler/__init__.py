"""How a cell's equation becomes a layer that runs at the speed of compiled C, file by file, on an LSTM.

Once for each equation and type of number:

1. `trace`: `LSTMCell.step` runs on symbols instead of tensors; what it computes becomes a `Graph` of `Node`s. Whatever
   it cannot express raises `UnsupportedOperation`, and plain autograd runs the cell. `captured_state` notes what the
   step has read beside its arguments, so that a later change of it is refused rather than unseen.
2. `autodiff`: `record` makes a `Program` of the graph: the products `W x` and `U h`, whose sums go into four slots
   (i, f, g, o), and the states (h, c) after the step. `Adjoint` is its derivative, a graph over the same nodes, and
   says which values the forward pass has to keep (σ(i), σ(f), tanh(g), σ(o), tanh(c)).
3. `schedule`: phases between products, and in each a `LoopNest` over the units of a row: for an LSTM one forwards and
   one backwards; a product in the middle (a GRU's `U (r ⊙ h)`) or a row mean (layer norm) makes more.
4. `layout` and `codegen`: where each value lies, and the C of one step; `csrc/kernels.h` (products on register tiles,
   elementary functions) and `csrc/driver.h` (threads, steps, gradients of weights) surround it.
   `triton_codegen` and `triton_functions` are the same for a GPU, from the same schedule; `triton_scan` is for cells
   whose step multiplies nothing but the input, in chunks of steps that run beside each other.
5. `build`: the system's compiler makes a library of it, kept in the user's cache.

At each call of the layer:

6. `sequence`: a `SequenceCall` is one cell in one direction over one sequence; an `Engine` has `forward` and
   `backward` for it. There are four, with the same results: `native` calls the library; `triton_engine` launches a
   kernel on a GPU; `function` runs the `Program` with torch's operations (any device and type, no compiler);
   `reference` runs the step itself under autograd (any operation, any derivative) and is what the others are tested
   against. A cell that says how to take many steps at once, as mLSTM does, is run that way by `chunks` in the place of
   `function`, and has no `Program`.
7. `dispatch`: chooses the engine and makes an autograd function of it. Forwards: all states and the kept values,
   step by step. Backwards: from the last step to the first the gradients of the slots and of (h, c), and block by
   block of steps those of W and U. Where torch records or transforms operations (`torch_mode`), the engine is the
   reference; `custom_op` is one operation for `torch.compile`; `loops` puts the steps of the reference engine into the
   programs that `torch.export` and `torch.jit.trace` make.

`scan` is by itself: the linear recurrence `h_t = a_t ⊙ h_{t-1} + b_t`, without a cell or a layer.
"""
