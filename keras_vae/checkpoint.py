"""Gathers and assigns the variables of a model and its optimizer by canonical name."""

from keras_vae.model import assemble, build
from shared.training.variables import assign, gather, load_with, named_variables, restore, snapshot

__all__ = ["assign", "gather", "load", "named_variables", "restore", "snapshot"]

load = load_with(build, assemble)
