"""Everything that does not depend on the framework: mathematics, data, seeds, files, figures."""
