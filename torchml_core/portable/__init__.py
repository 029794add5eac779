"""Portable models: the files of a folder that say all there is to say about a potential.

One idea a module: ``parameters`` (the ``.param`` file), ``device`` (where a model runs),
``executors`` (how it runs), ``model_file`` (what torch may read of it; nothing is run there, nor in
the modules that it imports), ``scatter_ops`` (operators that graph models ask for), ``conventions``
(what ``forward`` takes and gives), ``species_input`` (codes or atomic numbers), ``evaluation`` (one
call of it, checked and differentiated), ``remote_pair`` (lone atoms of models that fail on them),
``prediction`` (what a user gets) and ``model`` (the one noun that brings them together). Nothing is
imported here, so that reading a ``.param`` file loads no torch.
"""
