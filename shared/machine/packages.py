"""Which version of a package is installed; the package itself is not imported."""

from importlib import metadata

__all__ = ["installed_version"]


def installed_version(name):
    """Returns the version of an installed package, or None.

    Args:
        name: the name with which the package is imported.
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # the package may have another name, as tensorflow-cpu
        distributions = metadata.packages_distributions().get(name, [])
        return metadata.version(distributions[0]) if distributions else None
