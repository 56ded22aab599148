"""One training of `post-keras` in several frameworks, each in its own idiom, for bench.py.

Each module has functions from (config, data, count) that train `count` epochs, or a single step if
it is 0, and return the seconds of each epoch. All train the same network with the same optimizer
on batches of the same size; only the project's own two compute the same bits.
"""
