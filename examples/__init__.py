"""Networks and models of one's own; a notebook and the tests import them from here."""
