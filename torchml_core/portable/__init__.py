"""Portable models: folders whose files describe an interatomic potential completely.

One idea per module: ``parameters`` (the ``.param`` file), ``device`` (where a model runs),
``executors`` (how it runs), ``model_file`` (what torch may read of it; nothing is run there, nor in
the modules that it imports), ``scatter_ops`` (operators that graph models ask for), ``conventions``
(what ``forward`` takes and returns), ``species_input`` (codes or atomic numbers), ``evaluation``
(one call of the model, checked and differentiated), ``remote_pair`` (isolated atoms, for models
that fail on them), ``prediction`` (the result that users get) and ``model`` (the class that
combines them). Nothing is imported here, so that reading a ``.param`` file does not load torch.
"""
